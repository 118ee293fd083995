// OpenAI's Node SDK, driven line by line: a JSON command on standard input, a JSON answer on standard output.
// A command names a case and its arguments; a case may tell of its progress before it answers.

import { createInterface } from "node:readline";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const City = z.object({ name: z.string(), people: z.number() });

const tell = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const cases = {
  async whole(client, { body, options }) {
    return client.chat.completions.create(body, options);
  },

  async withHeaders(client, { body }) {
    const { data, response, request_id: requestId } = await client.chat.completions.create(body).withResponse();
    return { data, requestId, headers: Object.fromEntries(response.headers) };
  },

  // Each chunk is told of as it comes.
  async streamed(client, { body, options }) {
    const stream = await client.chat.completions.create({ ...body, stream: true }, options);
    for await (const chunk of stream) tell({ chunk });
    return null;
  },

  async hangUpAfterTheFirst(client, { body }) {
    const stream = await client.chat.completions.create({ ...body, stream: true });
    for await (const chunk of stream) return chunk;
    return null;
  },

  async abortAfterTheFirst(client, { body }) {
    const stream = await client.chat.completions.create({ ...body, stream: true });
    for await (const chunk of stream) {
      tell({ chunk });
      stream.controller.abort();
    }
    return "ended";
  },

  async helper(client, { body }) {
    const stream = client.chat.completions.stream(body);
    return stream.finalChatCompletion();
  },

  async parsed(client, { body, streamed }) {
    const asked = { ...body, response_format: zodResponseFormat(City, "City") };
    if (!streamed) return client.chat.completions.parse(asked);
    return client.chat.completions.stream(asked).finalChatCompletion();
  },

  // The SDK calls the function itself, as often as the model asks for it.
  async tools(client, { body, tool, streamed }) {
    const called = [];
    const weather = (input) => {
      called.push(input);
      return `Rain in ${input.city}.`;
    };
    const tools = [{ type: "function", function: { ...tool.function, function: weather, parse: JSON.parse } }];
    const runner = client.chat.completions.runTools({ ...body, tools, stream: streamed });
    const content = await runner.finalContent();
    return { content, called };
  },

  async models(client) {
    const found = [];
    for await (const model of client.models.list()) found.push(model);
    return found;
  },

  async completions(client, { body }) {
    return client.completions.create(body);
  },
};

const told = (error) => ({
  kinds: kinds(error),
  message: error.message,
  ...Object.fromEntries(["status", "code", "param", "type", "requestID"].map((name) => [name, error[name] ?? null])),
  retryAfter: error.headers?.get?.("retry-after") ?? null,
});

function kinds(error) {
  const found = [];
  for (let at = error; at && at !== Error.prototype; at = Object.getPrototypeOf(at)) {
    const name = at.constructor.name;
    if (!found.includes(name)) found.push(name);
  }
  return found;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { name, options, ...given } = JSON.parse(line);
  try {
    tell({ answer: await cases[name](new OpenAI(options), given) });
  } catch (error) {
    tell({ error: told(error) });
  }
}
