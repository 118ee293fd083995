// What a new install shows instead of empty charts: how to send the first request.

const BODY = `'{"prompt": "Say hello in one sentence."}'`;

export function fill({ words, command }, { generateUrl }) {
  words.textContent = generateUrl
    ? "Try a prompt in the box above, or send one from a terminal:"
    : "Send one from a terminal. The deployment printed the URL and the client key to put here:";
  const url = generateUrl ? new URL(generateUrl, document.baseURI).href : "https://YOUR-API-URL/generate";
  const key = generateUrl ? [] : ["-H 'Authorization: Bearer YOUR-CLIENT-KEY'"];
  command.textContent = [`curl -sS ${url}`, ...key, "-H 'Content-Type: application/json'", `-d ${BODY}`].join(" \\\n  ");
}
