import { TenonModal } from "@tenon/modal/react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const token = async () => {
    const response = await fetch("/my/tenon-token");
    if (!response.ok) throw new Error(`token: status ${response.status}`);
    return response.text();
};

function App() {
    const [isOpen, setOpen] = useState(false);
    const [status, setStatus] = useState("");
    return (
        <>
            <h1>Orders</h1>
            <button id="integrations" onClick={() => setOpen(true)}>
                Integrations
            </button>
            <p id="status">{status}</p>
            <TenonModal
                url={import.meta.env.TENON_URL}
                token={token}
                open={isOpen}
                onInstalled={({ integrationId }) => setStatus(`Installed: ${integrationId}`)}
                onUninstalled={({ integrationId }) => setStatus(`Uninstalled: ${integrationId}`)}
                onClose={() => setOpen(false)}
            />
        </>
    );
}

createRoot(document.getElementById("root")).render(
    <StrictMode>
        <App />
    </StrictMode>,
);
