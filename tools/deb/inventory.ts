/** What is in the package that others have made: the bill of materials and the licences. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { NodeBinary } from "./node-binary.ts";
import { type Arch, NATIVE_ARCH, run } from "./paths.ts";
import { licenceTexts, type NpmPackage } from "./production.ts";

interface Component {
  readonly "bom-ref": string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly [further: string]: unknown;
}

interface Bom {
  serialNumber: string;
  metadata: { timestamp: string; component: Record<string, unknown>; [further: string]: unknown };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
  [further: string]: unknown;
}

/** CycloneDX, from npm's own, with Node.js and what is built into it. The same input gives the same bytes. */
export function billOfMaterials(
  version: string,
  epoch: number,
  packages: readonly NpmPackage[],
  node: NodeBinary,
  arch: Arch,
): string {
  const bom = JSON.parse(
    run(["npm", "sbom", "--sbom-format=cyclonedx", "--omit=dev", "--package-lock-only"]),
  ) as Bom;
  const shipped = new Set(packages.map((each) => `${each.name}@${each.version}`));
  bom.components = bom.components.filter(
    ({ group, name, version: own }) =>
      shipped.has(`${group === undefined ? name : `${group}/${name}`}@${own}`) ||
      shipped.has(`${name}@${own}`),
  );
  const named = new Set(bom.components.map((each) => each["bom-ref"]));
  const forgotten = packages.filter((each) => !named.has(`${each.name}@${each.version}`));
  const unique = new Map(forgotten.map((each) => [`${each.name}@${each.version}`, each]));
  bom.components.push(...[...unique.values()].map(componentOf));
  const parts = Object.entries(builtIn(node, arch)).map(([name, own]) => ({
    "bom-ref": `node-${node.version}/${name}@${own}`,
    type: "library",
    name,
    version: own,
    ...(name === "openssl" ? { cpe: `cpe:2.3:a:openssl:openssl:${own}:*:*:*:*:*:*:*` } : {}),
  }));
  const nodeRef = `node@${node.version}`;
  bom.components.push(
    {
      "bom-ref": nodeRef,
      type: "application",
      name: "node",
      version: node.version,
      description: "The JavaScript runtime that hipd and hipctl run on, with its own OpenSSL",
      cpe: `cpe:2.3:a:nodejs:node.js:${node.version}:*:*:*:*:*:*:*`,
      purl: `pkg:github/nodejs/node@v${node.version}`,
      hashes: [
        { alg: "SHA-256", content: createHash("sha256").update(readFileSync(node.binary)).digest("hex") },
      ],
    },
    ...parts,
  );
  const refs = new Set(bom.components.map((component) => component["bom-ref"]));
  const own = bom.metadata.component["bom-ref"] as string;
  bom.dependencies = bom.dependencies
    .filter(({ ref }) => ref === own || refs.has(ref))
    .map(({ ref, dependsOn }) => ({
      ref,
      dependsOn: [
        ...dependsOn.filter((each) => refs.has(each)),
        ...(ref === own ? [...unique.keys(), nodeRef] : []),
      ],
    }));
  for (const ref of unique.keys()) bom.dependencies.push({ ref, dependsOn: [] });
  bom.dependencies.push({ ref: nodeRef, dependsOn: parts.map((part) => part["bom-ref"]) });
  bom.metadata.timestamp = new Date(epoch * 1000).toISOString();
  // npm takes the name of the folder for ours.
  Object.assign(bom.metadata.component, { name: "hipd", version, purl: `pkg:generic/hipd@${version}` });
  bom.serialNumber = "";
  const digest = createHash("sha256").update(JSON.stringify(bom)).digest("hex");
  bom.serialNumber = `urn:uuid:${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  return `${JSON.stringify(bom, null, 1)}\n`;
}

/** npm leaves out what a package for development needs, too. */
function componentOf({ name, version, license, integrity }: NpmPackage): Component {
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const content = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
  return {
    "bom-ref": `${name}@${version}`,
    type: "library",
    name,
    version,
    scope: "required",
    purl,
    hashes: [{ alg: "SHA-512", content }],
    licenses: [{ license: { id: license } }],
  };
}

/** OpenSSL, V8, libuv and others inside the binary; both architectures of one release have the same. */
function builtIn(node: NodeBinary, arch: Arch): Readonly<Record<string, string>> {
  if (arch === NATIVE_ARCH) {
    const versions = JSON.parse(run([node.binary, "-p", "JSON.stringify(process.versions)"])) as Record<
      string,
      string
    >;
    if (versions["node"] !== node.version)
      throw new Error(`${node.binary} is ${versions["node"]}, not ${node.version}`);
  }
  const { node: _itself, modules: _abi, napi: _napi, ...parts } = process.versions;
  if (process.versions.node !== node.version)
    throw new Error(`run this with the pinned Node.js, ${node.version}`);
  return parts as Record<string, string>;
}

/** All licences whole, one after another; packages with the same text share it. */
export function thirdPartyLicences(packages: readonly NpmPackage[], node: NodeBinary | undefined): string {
  const groups = new Map<string, string[]>();
  for (const each of packages) {
    const text = licenceTexts(each).join("\n\n");
    const whole =
      text === "" ? `Licence: ${each.license} (the package has no licence file of its own)` : text;
    const names = groups.get(whole) ?? [];
    groups.set(whole, [...names, `${each.name} ${each.version} (${each.license})`]);
  }
  const rule = "=".repeat(100);
  const parts = [...groups].map(
    ([text, names]) => `${rule}\n${[...new Set(names)].join("\n")}\n${rule}\n\n${text}\n`,
  );
  if (node !== undefined)
    parts.push(`${rule}\nNode.js ${node.version}\n${rule}\n\n${readFileSync(node.licence, "utf8")}`);
  return `Software of others in this package, and its licences.\n\n${parts.join("\n\n")}`;
}
