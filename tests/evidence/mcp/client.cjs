// An assistant's side over HTTP, by the official TypeScript SDK: makes the calls that
// standard input lists, and prints what came, for the test to judge.
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const {
  StreamableHTTPClientTransport,
} = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

async function main() {
  const plan = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const transport = new StreamableHTTPClientTransport(new URL(plan.url));
  const client = new Client({ name: "test", version: "0" });
  await client.connect(transport);
  const out = {
    protocol: transport.protocolVersion,
    session: transport.sessionId,
    tools: (await client.listTools()).tools,
    resources: (await client.listResources()).resources,
    templates: (await client.listResourceTemplates()).resourceTemplates,
    prompts: (await client.listPrompts()).prompts,
    calls: [],
    reads: [],
  };
  for (const call of plan.calls ?? []) out.calls.push(await one(client, call));
  for (const uri of plan.reads ?? []) {
    try {
      out.reads.push((await client.readResource({ uri })).contents[0]);
    } catch (error) {
      out.reads.push({ error: error.message, code: error.code });
    }
  }
  await client.close();
  console.log(JSON.stringify(out));
}

async function one(client, call) {
  const progress = [];
  const controller = new AbortController();
  const timer = call.cancel_after && setTimeout(() => controller.abort(), call.cancel_after * 1000);
  try {
    const params = { name: call.name, arguments: call.arguments ?? {} };
    const result = await client.callTool(params, undefined, {
      signal: controller.signal,
      timeout: 60000,
      onprogress: (it) => progress.push([it.progress, it.total, it.message]),
    });
    return {
      is_error: result.isError === true,
      structured: result.structuredContent ?? null,
      text: result.content.map((block) => block.text),
      progress,
    };
  } catch (error) {
    if (controller.signal.aborted) return { cancelled: true, progress };
    return { error: error.message, progress };
  } finally {
    clearTimeout(timer);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
