// Contributions by occlusion (Zeiler and Fergus 2014): the log-odds of the label fall by this much without the words.

const MOST_GROUPS = 60;                        // predictions for one text: tokens of longer texts are grouped

function groupsOf(words) {                     // [{ start, end }]: positions of neighbouring tokens in the text
  const size = Math.ceil(words.length / MOST_GROUPS), groups = [];
  for (let i = 0; i < words.length; i += size) {
    groups.push({ start: words[i].start, end: words[Math.min(i + size, words.length) - 1].end });
  }
  return groups;
}
function without(text, { start, end }) {
  return `${text.slice(0, start)} ${text.slice(end)}`;
}
function scoresWithout(model, text, group) {   // log-probabilities (labels,)
  return predict(model, without(text, group)).scores;
}
function contribution(scores, occluded, chosen) {  // of the words that are left out to the log-odds of a label
  return logOdds(scores, chosen) - logOdds(occluded, chosen);
}
