/**
 * A crowd as a program of its own: `crowd.ts OPTIONS-AS-JSON PEERS-FILE`. Commands come by standard input, one a line:
 * "connect COUNT PARALLEL SECONDS", "flood RATE SECONDS WHO" (WHO: "one" address or "many"), "aside RATE SECONDS WHO" (the work of a
 * flood, for nobody); each is answered by one line of JSON.
 */
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Crowd, type CrowdOptions } from "../crowd.ts";
import { flood } from "../flood.ts";

const [options = "", file = ""] = process.argv.slice(2);
const crowd = await Crowd.create(JSON.parse(options) as CrowdOptions);
writeFileSync(file, crowd.peersFile());
console.log(JSON.stringify({ ready: crowd.members.length }));
for await (const line of createInterface({ input: process.stdin })) {
  const [command, first, second, third] = line.split(" ");
  if (command === "connect") {
    console.log(JSON.stringify(await crowd.connect(Number(first), Number(second), Number(third) * 1000)));
  } else if (command === "flood" || command === "aside") {
    const [rate, seconds, fromOne] = [Number(first), Number(second), third === "one"];
    console.log(JSON.stringify(await flood(crowd, { rate, seconds, fromOne, aside: command === "aside" })));
  } else if (command === "end") break;
}
crowd.close();
process.exit();
