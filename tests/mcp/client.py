"""An assistant's side, by the official SDK: makes the calls that standard input
lists, and prints what came, for the test to judge. The SDK itself holds each
structured answer against the tool's outputSchema."""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters, stdio_client


async def main() -> None:
    plan = json.load(sys.stdin)
    server = StdioServerParameters(command=plan["command"][0], args=plan["command"][1:])
    out = {"calls": []}
    async with Client(stdio_client(server), mode=plan["mode"]) as client:
        out["protocol"] = client.protocol_version
        tools = (await client.list_tools()).tools
        out["tools"] = [tool.model_dump(by_alias=True, exclude_none=True) for tool in tools]
        for call in plan["calls"]:
            out["calls"].append(await one(client, call))
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


asyncio.run(main())
