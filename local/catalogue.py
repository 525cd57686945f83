"""Integrations of the demonstration, and errors of their workflows."""

import base64
from typing import Any


def _icon(color: str, shapes: str) -> str:
    """Returns an icon of 32 pixels as a data URI: white shapes on a colored square."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="{color}"/>'
        f'<g fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">{shapes}</g></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


SHOPIFY: dict[str, Any] = {
    "name": "Shopify",
    "description": "Creates the orders of your shop in Shopify, and keeps stock levels up to date.",
    "credentialTypes": [
        {
            "type": "shopify",
            "name": "Shopify account",
            "fields": [
                {
                    "name": "token",
                    "label": "Access token",
                    "type": "secret",
                    "required": True,
                    "pattern": "shpat_.+",
                    "placeholder": "shpat_…",
                    "help": "Shopify shows it once, when you install your own app.",
                }
            ],
        }
    ],
    "settings": [{"name": "batch", "label": "Orders per run", "type": "number", "placeholder": "50"}],
    "workflows": [
        {"key": "orders", "name": "Orders to Shopify", "description": "Every five minutes"},
        {"key": "stock", "name": "Stock levels", "description": "Every hour"},
    ],
    "hints": [
        {"match": "status code 401", "text": "Shopify no longer accepts the access token.", "action": "reconnect"},
        {"match": "status code 429", "text": "Shopify limits requests. The next run continues by itself."},
        {"match": "unknown sku", "text": "Create the product in Shopify, or correct its article number."},
    ],
    "icon": _icon("#3f7d20", '<path d="M9 12h14l-1 12H10z"/><path d="M13 15v-5a3 3 0 0 1 6 0v5"/>'),
}

# Integrations of the catalogue that nobody has installed, by id.
OTHER_INTEGRATIONS: dict[str, dict[str, Any]] = {
    "chat": {
        "name": "Team chat",
        "description": "Posts new orders to a channel of your team.",
        "icon": _icon("#5b3fa8", '<path d="M8 9h16v11H15l-5 4v-4H8z"/><path d="M12 13h8M12 16h5"/>'),
        "credentialTypes": [
            {
                "type": "webhook",
                "name": "Channel",
                "fields": [
                    {
                        "name": "url",
                        "label": "Webhook URL of the channel",
                        "type": "url",
                        "required": True,
                        "pattern": "https://.+",
                        "placeholder": "https://chat.example.com/hooks/…",
                    }
                ],
            }
        ],
        "settings": [
            {
                "name": "orders",
                "label": "Orders",
                "type": "select",
                "required": True,
                "options": [
                    {"value": "all", "label": "All orders"},
                    {"value": "large", "label": "Only large orders"},
                    {"value": "problems", "label": "Only orders with problems"},
                ],
            },
            {
                "name": "minimum",
                "label": "Large from",
                "type": "number",
                "help": "Total of an order in euros",
                "placeholder": "500",
            },
            {"name": "mention", "label": "Mention everybody in the channel", "type": "boolean"},
        ],
        "workflows": [{"key": "posts", "name": "Orders to the channel"}],
        "hints": [{"match": "404", "text": "The channel no longer exists.", "action": "reconnect"}],
    },
    "newsletter": {
        "name": "Newsletter",
        "description": "Adds customers who agree to your mailing list, and removes those who leave it.",
        "icon": _icon("#b4540a", '<path d="M7 10h18v13H7z"/><path d="m7 11 9 7 9-7"/>'),
        "credentialTypes": [
            {
                "type": "newsletter",
                "name": "Newsletter account",
                "fields": [
                    {"name": "user", "label": "User name", "type": "text", "required": True},
                    {
                        "name": "key",
                        "label": "API key",
                        "type": "secret",
                        "required": True,
                        "pattern": ".{8,}",
                        "help": "At least 8 characters",
                    },
                ],
            }
        ],
        "settings": [
            {"name": "list", "label": "Mailing list", "type": "text", "required": True, "placeholder": "Customers"},
            {
                "name": "privacy",
                "label": "Privacy policy",
                "type": "url",
                "placeholder": "https://www.example.com/privacy",
                "help": "Linked in the first message to a customer",
            },
            {"name": "welcome", "label": "Send a welcome message", "type": "boolean"},
        ],
        "workflows": [
            {"key": "subscribe", "name": "New customers to the list"},
            {"key": "unsubscribe", "name": "Unsubscriptions to the shop"},
        ],
        "hints": [{"match": "invalid api key", "text": "The account has a new API key.", "action": "reconnect"}],
    },
}

# Texts of errors of the workflows of Shopify, newest first.
INSTALLATION_ERRORS = [
    [
        "Error: Request failed with status code 401",
        "Error: Request failed with status code 401",
        "Error: order 10480 has an unknown SKU 'MUG-BLUE-2'",
        "Error: order 10477 has an unknown SKU 'TEE-XL'",
        "Error: Request failed with status code 429",
    ],
    ["Error: timeout of 30000 ms exceeded", "Error: location 7 does not stock the article"],
]
