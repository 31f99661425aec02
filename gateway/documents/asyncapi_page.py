"""The AsyncAPI document as one page of plain HTML: no script, no outside call.

In: the document. Out: the page and the content security policy it runs under.
Must stay true: every channel, operation and message of the document is on the page; every text of it is escaped.
"""

import base64
import hashlib
from html import escape
from typing import Any

import orjson

_STYLE = """
:root { --ink: #1c2430; --soft: #5a6675; --line: #dfe4ea; --back: #f7f8fa; --card: #fff; --accent: #2457d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #9aa5b3; --line: #323a46; --back: #14181e; --card: #1b2028; --accent: #7ea3ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 64rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--back); }
h2 { margin: 2rem 0 .5rem; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; }
details details { margin: .5rem .9rem; }
summary { padding: .5rem .9rem; cursor: pointer; }
summary code { font-weight: 600; }
p, ul { margin: .4rem .9rem; padding: 0; } li { margin-left: 1.2rem; }
pre { margin: .5rem .9rem; padding: .6rem; overflow: auto; font-size: .8rem; border: 1px solid var(--line);
  border-radius: 6px; }
a { color: var(--accent); } .soft { color: var(--soft); }
"""


def render(document: dict[str, Any]) -> tuple[str, str]:
    """(HTML, Content-Security-Policy) of an AsyncAPI document of ours."""
    info = document["info"]
    components = document["components"]
    body = "\n".join(
        [
            f"<h1>{escape(info['title'])} messages</h1>",
            f"<p>{escape(info['description'])}</p>",
            '<p><a href="/asyncapi.json">asyncapi.json</a> '
            f'<span class="soft">AsyncAPI {escape(document["asyncapi"])}, version {escape(info["version"])}</span> · '
            '<a href="/docs">HTTP calls</a></p>',
            "<h2>Channels</h2>",
            *(
                _channel(name, one, document["operations"])
                for name, one in document["channels"].items()
            ),
            "<h2>Messages</h2>",
            *(_message(name, one) for name, one in components["messages"].items()),
            "<h2>Schemas</h2>",
            *(_schema(name, one) for name, one in components["schemas"].items()),
        ]
    )
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} messages</title><style>{_STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n',
        policy,
    )


def _channel(name: str, channel: dict[str, Any], operations: dict[str, Any]) -> str:
    reference = f"#/channels/{name}"
    deeds = [
        f"<li><b>{escape(one['action'])}</b> {escape(one['summary'])}</li>"
        for one in operations.values()
        if one["channel"]["$ref"] == reference
    ]
    address = channel["address"] if channel["address"] is not None else "(the receiver's URL)"
    parameters = [
        f"<li><code>{escape(key)}</code> {escape(one['description'])}</li>"
        for key, one in channel.get("parameters", {}).items()
    ]
    links = [
        f'<li><a href="#message-{escape(one)}">{escape(one)}</a></li>'
        for one in channel["messages"]
    ]
    return (
        f'<details id="channel-{escape(name)}"><summary><code>{escape(address)}</code> '
        f'<span class="soft">{escape(name)}</span></summary>'
        f"<p>{escape(channel['description'])}</p><ul>{''.join(deeds)}{''.join(parameters)}</ul>"
        f'<p class="soft">Messages</p><ul>{"".join(links)}</ul></details>'
    )


def _message(name: str, message: dict[str, Any]) -> str:
    parts = [("Payload", message["payload"]), ("Headers", message.get("headers"))]
    parts += [("Example", example) for example in message.get("examples", [])]
    shown = "".join(f'<p class="soft">{title}</p>{_json(value)}' for title, value in parts if value)
    return (
        f'<details id="message-{escape(name)}"><summary><code>{escape(message["title"])}</code> '
        f'<span class="soft">{escape(message["name"])} · {escape(message["contentType"])}</span></summary>'
        f"<p>{escape(message['summary'])}</p>{shown}</details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{escape(schema.get('description', ''))}</p>{_json(schema)}</details>"
    )


def _json(value: Any) -> str:
    return f"<pre>{escape(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())}</pre>"
