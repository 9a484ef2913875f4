/**
 * A crowd as a program of its own: `crowd.ts OPTIONS-AS-JSON PEERS-FILE`. Commands come by standard input, one a line:
 * "connect COUNT PARALLEL SECONDS", "patterns FILE" (for knock.c); each is answered by one line of JSON.
 */
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Crowd, type CrowdOptions } from "../crowd.ts";

const [options = "", file = ""] = process.argv.slice(2);
const crowd = await Crowd.create(JSON.parse(options) as CrowdOptions);
writeFileSync(file, crowd.peersFile());
console.log(JSON.stringify({ ready: crowd.members.length }));
for await (const line of createInterface({ input: process.stdin })) {
  const [command, first = "", second, third] = line.split(" ");
  if (command === "connect") {
    console.log(JSON.stringify(await crowd.connect(Number(first), Number(second), Number(third) * 1000)));
  } else if (command === "patterns") {
    writeFileSync(first, crowd.patterns());
    console.log("{}");
  } else if (command === "end") break;
}
crowd.close();
process.exit();
