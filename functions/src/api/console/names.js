// Names and links. Those of users and workflows are looked up once per session.

import { h } from "./preact.js";
import { call, find, onSignOut, query, segment } from "./api.js";
import { FilterField } from "./forms.js";
import { link } from "./route.js";
import { createStore, useStore } from "./store.js";

export { UserField, UserLink, WorkflowLink, rememberNames, useNames, destinationName, maskedUrl };

const CONCURRENT_LOOKUPS = 4;

// Kinds of names. The newest 100 of a kind are read together, and others one by one.
const NAMED_KINDS = {
  users: { idOf: ({ userId }) => userId, nameOf: ({ username }) => username },
  workflows: { idOf: ({ workflowId }) => workflowId, nameOf: ({ name }) => name },
};

// Names by kind and id. A null is the name of something that no longer exists.
const noNames = () => ({ users: new Map(), workflows: new Map() });
const names = createStore(noNames());
// Ids that are looked up, and whether the newest of a kind were read.
const noLookups = () => ({ users: new Set(), workflows: new Set(), began: new Set() });
let lookups = noLookups();
onSignOut(() => {
  names.value = noNames();
  lookups = noLookups();
});

const useNames = () => useStore(names);

// Keeps the names of items that were loaded for another reason.
function rememberNames(kind, items) {
  const { idOf, nameOf } = NAMED_KINDS[kind];
  for (const item of items) names.value[kind].set(idOf(item), nameOf(item));
  names.set(names.value);
}

// Requests the name of an id after the present rendering, together with others.
function lookUp(kind, id) {
  if (names.value[kind].has(id) || lookups[kind].has(id)) return;
  if (!lookups[kind].size) setTimeout(() => readNames(kind));
  lookups[kind].add(id);
}

async function readNames(kind) {
  const present = lookups;
  try {
    if (!present.began.has(kind)) {
      rememberNames(kind, (await call("GET", `${kind}${query({ limit: 100 })}`)).data);
      present.began.add(kind);
    }
    const missing = [...present[kind]].filter((id) => !names.value[kind].has(id));
    const readNext = async () => {
      for (let id = missing.pop(); id; id = missing.pop()) {
        const found = await find(`${kind}/${segment(id)}`);
        names.value[kind].set(id, found && NAMED_KINDS[kind].nameOf(found));
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT_LOOKUPS }, readNext));
    names.set(names.value);
  } catch {
    // Ids are shown instead of names, which are looked up with the next ones.
  }
  present[kind].clear();
}

// Shows the name of an id as a link to its page, and the end of the id until the name is known.
// `formerName` is the name of something that may be deleted.
function NamedLink({ kind, id, formerName }) {
  const known = useNames()[kind].get(id);
  lookUp(kind, id);
  const shown =
    known === undefined ? `…${id.slice(-6)}` : (known ?? (formerName ? `${formerName} (deleted)` : "deleted"));
  return h(
    "a",
    { href: link([kind, id]), title: known ? `${known}\n${id}` : id, class: `line ${known ? "" : "quiet"}` },
    shown,
  );
}

const UserLink = ({ id }) => h(NamedLink, { kind: "users", id });
const WorkflowLink = (workflow) => h(NamedLink, { kind: "workflows", ...workflow });

// Field for a user, which suggests the usernames that are known.
function UserField() {
  return h(
    FilterField,
    { label: "User", name: "userId", placeholder: "Id, username or email", list: "known-users" },
    h(
      "datalist",
      { id: "known-users" },
      [...useNames().users.values()].filter(Boolean).map((name) => h("option", { key: name, value: name })),
    ),
  );
}

// Returns a URL with its host only: each of the other parts may hold a secret.
function maskedUrl(url) {
  const { origin, pathname, search, username } = new URL(url);
  return `${username ? origin.replace("//", "//•••@") : origin}${pathname.length > 1 || search ? "/•••" : ""}`;
}

// Returns the name of a destination, or where it leads.
const destinationName = ({ name, type, url, eventBusName, region }) =>
  name ?? (type === "webhook" ? maskedUrl(url) : `${eventBusName.split("/").at(-1)} in ${region}`);
