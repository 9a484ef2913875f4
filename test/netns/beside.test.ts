/** What comes to overlay addresses beside the overlay is kept out by rules that hipd sets, and the overlay is let through. */
import { expect, it } from "vitest";
import { suite, withPair } from "./support.ts";

const RECEIVER = `
const [type, address] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(type);
socket.on("message", (text, from) => console.log(text + " " + from.address));
socket.bind(7777, address, () => console.log("ready"));
`;
const SENDER = `
const [type, from, to, text] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(type);
socket.bind(0, from, () => socket.send(text, 7777, to, () => socket.close()));
`;

const node = (script: string, ...args: readonly string[]) => [process.execPath, "-e", script, "--", ...args];

suite("packets beside the overlay", () => {
  it.each(["ipv4", "ipv6"] as const)("do not reach an application, over %s", async (family) => {
    await withPair({ family }, async ({ a, b, router }) => {
      const v4 = family === "ipv4";
      const [type, ip] = v4 ? ["udp4", "-4"] : ["udp6", "-6"];
      const table = await a.daemon.namespace.run(["nft", "list", "table", "inet", "hipd"]);
      expect(table).toContain('"hip0"');
      const shown = JSON.parse(
        await a.daemon.namespace.run(["ip", "-j", ip, "address", "show", "dev", "hip0", "scope", "global"]),
      );
      const own = v4 ? (shown[0].addr_info[0].local as string) : a.daemon.hit;
      const peer = v4 ? await a.daemon.lsi("b") : b.daemon.hit;
      const receiver = a.daemon.namespace.spawn(node(RECEIVER, type, own));
      await receiver.line((line) => line === "ready");

      // Somebody on the way says that it is the peer; then one who does not.
      await router.run(["ip", ip, "address", "add", `${peer}/${v4 ? 32 : 128}`, "dev", "lo"]);
      await router.run(["ip", ip, "route", "add", `${own}/${v4 ? 32 : 128}`, "via", v4 ? a.ipv4 : a.ipv6]);
      await router.run(node(SENDER, type, peer, own, "forged"));
      await router.run(node(SENDER, type, v4 ? "0.0.0.0" : "::", own, "stray"));

      const there = v4 ? await b.daemon.lsi("a") : own;
      await b.daemon.namespace.run(node(SENDER, type, v4 ? "0.0.0.0" : "::", there, "sealed"));
      await receiver.line((line) => line.startsWith("sealed "));
      expect(receiver.out).toEqual(["ready", `sealed ${peer}`]);
    });
  });
});
