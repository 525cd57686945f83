// The API at this page's own origin. The key is in this module's memory, and nowhere else.

const base = new URL(".", location.href);
let key = null;

const signedIn = () => key !== null;
const signIn = (given) => { key = given; };
const signOut = () => { key = null; };

// Sends a request. What is refused is thrown, with the problem document's words and fields.
async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(new URL(path, base), {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Error("The API cannot be reached.");
  }
  const document = await answer.json().catch(() => ({}));
  if (answer.ok) return document;
  const message = { 401: "The key is missing.", 403: document.detail ?? "This key is not accepted." }[answer.status]
    ?? document.detail ?? document.message ?? `The API answered ${answer.status}.`;
  throw Object.assign(new Error(message), { status: answer.status, errors: document.errors });
}

// A query string of what is not empty.
const query = (parts) => {
  const filled = Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return filled.length ? `?${new URLSearchParams(filled)}` : "";
};

const segment = encodeURIComponent;
