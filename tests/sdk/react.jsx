// Page of the tests with Chromium. `render` renders the component of a name, or nothing, in strict mode.

import { TenonModal, useTenonModal } from "@tenon/modal/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const EVENTS = ["Ready", "Installed", "Updated", "Activated", "Deactivated", "Uninstalled", "Close"];
const root = createRoot(document.getElementById("root"));

window.tokens = [];
window.events = [];

function Dialog(props) {
    const on = { installed: (detail) => window.events.push([props.generation, "installed", detail]) };
    const { generation: _, invalid, ...options } = props;
    const openDialog = useTenonModal({ ...options, on, ...(invalid && { connect: "yes", on: { unknown() {} } }) });
    window.openDialog = openDialog;
    return <button onClick={() => openDialog({ integrationId: "shopify" })}>Connect</button>;
}

const COMPONENTS = { TenonModal, Dialog };

// The functions of each call add its `generation` to `tokens` and `events`.
window.render = (name, generation, props) => {
    const Component = COMPONENTS[name] ?? name;
    const handlers =
        name === "TenonModal" &&
        Object.fromEntries(
            EVENTS.map((event) => [`on${event}`, (detail) => window.events.push([generation, event, detail])]),
        );
    const token = () => `a.user.token-${window.tokens.push(generation)}`;
    const own = name === "Dialog" ? { generation } : handlers || { connect() {} };
    root.render(<StrictMode>{Component && <Component token={token} {...own} {...props} />}</StrictMode>);
};
