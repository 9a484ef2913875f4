/**
 * A cloud's metadata service: `metadata-service.ts HOST`. Each line of standard input is a JSON object of paths and what
 * they say from now on; each question becomes a line of output.
 */
import { createServer } from "node:http";
import { createInterface } from "node:readline";

let pages: Readonly<Record<string, string>> = {};

const server = createServer((request, response) => {
  const { method = "", url = "" } = request;
  const token = method === "PUT" && url === "/latest/api/token";
  const page = token ? "a-token" : pages[url];
  const known = token || (method === "GET" && page !== undefined);
  response.writeHead(known ? 200 : 404, { "content-type": "text/plain" });
  response.end(known ? page : "");
  process.stdout.write(`${method} ${url} ${known ? 200 : 404}\n`);
});
server.listen(80, process.argv[2], () => process.stdout.write("listening\n"));

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  pages = JSON.parse(line) as Record<string, string>;
  process.stdout.write("changed\n");
});
input.on("close", () => process.exit(0));
