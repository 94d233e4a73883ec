"""Data, templates and check of the page that runs a classifier in a browser (:mod:`pipeline.exports.page`)."""
