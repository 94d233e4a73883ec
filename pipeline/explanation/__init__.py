"""Why a run predicts what it predicts for a text: contributions, attention, nearest examples, changed words."""
