/**
 * What npm runs after `npm install -g hipd`: the addon must load on this machine. The one that came along is taken if it does, else
 * one is built; where neither works, this says what is missing. In a clone `make` does all that.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const addon = join(root, "native/build/hipd_native.node");
const OLDEST_NODE = 22;

/** Undefined when it loads, else why not. */
function problem() {
  if (!existsSync(addon)) return "there is none in this package";
  try {
    createRequire(import.meta.url)(addon);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split("\n")[0] : String(error);
  }
}

/** Headers of Node-API and of OpenSSL, which come with Node.js. */
function headers() {
  const named = process.env["HIPD_NODE_HEADERS"];
  const usual = [
    join(dirname(process.execPath), "../include/node"),
    "/usr/include/node",
    "/usr/include/nodejs/src",
  ];
  const places = named === undefined ? usual : [named];
  return places.find(
    (place) => existsSync(join(place, "node_api.h")) && existsSync(join(place, "openssl/evp.h")),
  );
}

function fail(...lines) {
  for (const line of lines) console.error(`hipd: ${line}`);
  process.exit(1);
}

function build(why) {
  const include = headers();
  const lacking = ["make", "g++"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
  if (process.platform !== "linux") fail(`hipd runs on Linux only, not on ${process.platform}`);
  if (lacking.length > 0 || include === undefined) {
    fail(
      `the data plane's addon does not load here (${why}), and cannot be built:`,
      lacking.length > 0
        ? `${lacking.join(" and ")} missing: apt-get install ${lacking.join(" ")}, and install hipd again`
        : `the headers of Node.js ${process.version} are missing: they lie in include/node of its tarball, or in Debian's libnode-dev; HIPD_NODE_HEADERS names another place`,
    );
  }
  console.log("hipd: building the data plane's addon");
  const make = ["-s", "-f", "native/native.mk", "native", `NODE_HEADERS=${include}`, `NODE_DEV=${include}`];
  const done = spawnSync("make", make, { cwd: root, encoding: "utf8" });
  const after = done.status === 0 ? problem() : "make failed";
  if (after !== undefined)
    fail(
      `the data plane's addon could not be built: ${after}`,
      ...`${done.stderr}`.trim().split("\n").slice(-20),
    );
}

if (!existsSync(join(root, "src"))) {
  if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
    fail(`needs Node.js ${OLDEST_NODE} or newer; this is ${process.version}`);
  }
  const why = problem();
  if (why !== undefined) build(why);
}
