"""An assistant's side, by the official SDK: makes the calls that standard input
lists, and prints what came, for the test to judge. The SDK itself holds each
structured answer against the tool's outputSchema."""

import asyncio
import json
import sys

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client


def server(plan: dict):
    """By the command that starts it, an address, or a socket file."""
    if "url" in plan:
        return plan["url"]
    if "socket" in plan:
        transport = httpx2.AsyncHTTPTransport(uds=plan["socket"])
        client = httpx2.AsyncClient(transport=transport, timeout=60)
        return streamable_http_client("http://localhost/mcp", http_client=client)
    command = plan["command"]
    return stdio_client(StdioServerParameters(command=command[0], args=command[1:]))


async def main() -> None:
    plan = json.load(sys.stdin)
    out = {"calls": [], "reads": []}
    async with Client(server(plan), mode=plan["mode"]) as client:
        out["protocol"] = client.protocol_version
        tools = (await client.list_tools()).tools
        out["tools"] = [tool.model_dump(by_alias=True, exclude_none=True) for tool in tools]
        for call in plan["calls"]:
            out["calls"].append(await one(client, call))
        for uri in plan.get("reads", []):
            out["reads"].append(await read(client, uri))
    print(json.dumps(out))


async def one(client: Client, call: dict) -> dict:
    told = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append([done, total, message])

    asked = client.call_tool(call["name"], call.get("arguments", {}), progress_callback=progress)
    try:
        result = await asyncio.wait_for(asked, call.get("cancel_after", 60))
    except TimeoutError:
        return {"cancelled": True, "progress": told}
    except Exception as error:  # the test judges what it is
        return {"error": str(error), "progress": told}
    return {
        "is_error": bool(result.is_error),
        "structured": result.structured_content,
        "text": [block.text for block in result.content],
        "progress": told,
    }


async def read(client: Client, uri: str) -> dict:
    try:
        result = await client.read_resource(uri)
    except Exception as error:  # the test judges what it is
        return {"error": str(error)}
    return result.contents[0].model_dump(by_alias=True, exclude_none=True)


asyncio.run(main())
