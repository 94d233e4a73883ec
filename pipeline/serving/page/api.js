// Requests to the server of this page.

const KEY = "vecformer-token";
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.get("token")) {
  sessionStorage.setItem(KEY, fragment.get("token"));
  history.replaceState(null, "", location.pathname); // the token stays out of the history
}

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

async function ask(path, body, signal) {
  const token = sessionStorage.getItem(KEY);
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}),
    ...(body ? { "Content-Type": "application/json" } : {}) };
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, signal,
      body: body ? JSON.stringify(body) : undefined });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Is it still running?", 0);
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
    const wait = answer.headers.get("Retry-After");
    throw new Failure(problem.error + (wait ? ` Try again in ${wait} s.` : ""), answer.status);
  }
  return answer;
}

export const get = async (path) => (await ask(path)).json();
export const post = async (path, body) => (await ask(path, body)).json();

// Read one JSON object per line as the lines arrive.
export async function* stream(path, body, signal) {
  const reader = (await ask(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}
