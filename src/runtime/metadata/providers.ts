/** What each cloud's metadata service says about a machine: its public addresses and the instance that it is. */
import { canonicalIp } from "../../core/ip.ts";
import { err, ok, type Result } from "../../core/types.ts";
import { scopeOf } from "../../overlay/locator-rank.ts";
import type { CloudFacts } from "../../overlay/whereabouts.ts";
import { type ConfigDrive, readConfigDrive } from "./config-drive.ts";
import type { Cloud } from "./dmi.ts";
import type { MetadataHttp } from "./http.ts";

/** More addresses than peers take are not read. */
const MAX_ADDRESSES = 16;
/** Network interfaces of which AWS is asked one by one. */
const MAX_INTERFACES = 8;
/** How long AWS's token lives, in seconds; it is asked for anew each time, so that none is kept. */
const AWS_TOKEN_SECONDS = "60";
const AZURE_INSTANCE = "/metadata/instance?api-version=2021-02-01&format=json";
const AZURE_BALANCER = "/metadata/loadbalancer?api-version=2020-10-01&format=json";
const INSTANCE_ID = /^[A-Za-z0-9._:-]{1,128}$/;

export interface Sources {
  readonly http: MetadataHttp;
  readonly configDrive: ConfigDrive;
}

export type Provider = (sources: Sources) => Promise<Result<CloudFacts, string>>;

export const PROVIDERS: Readonly<Record<Cloud, Provider>> = {
  openstack: openStack,
  aws,
  gcp,
  azure,
};

/** The metadata service (its own form, and the one that it has from EC2), else a mounted config drive. */
async function openStack({ http, configDrive }: Sources): Promise<Result<CloudFacts, string>> {
  const own = await http.find("/openstack/latest/meta_data.json");
  // An address that merely was not answered for has not gone.
  const address = own.ok ? await http.find("/latest/meta-data/public-ipv4") : own;
  if (!address.ok) {
    const drive = readConfigDrive(configDrive);
    if (drive === undefined) return err(`${address.error}; and there is no config drive`);
    return ok(facts("openstack", drive.instance, [drive.publicAddress]));
  }
  let instance = own.ok ? text(jsonOf(own.value?.body ?? ""), "uuid") : "";
  if (instance === "") {
    const id = await http.find("/latest/meta-data/instance-id");
    if (id.ok) instance = id.value?.body.trim() ?? "";
  }
  return ok(facts("openstack", instance, lines(address.value?.body ?? "")));
}

/**
 * IMDSv2: first a token. The answer that carries it has the IP hop limit 1 by default, so it reaches the instance but no
 * container behind it; version 1, which needs no token, is not asked instead.
 */
async function aws({ http }: Sources): Promise<Result<CloudFacts, string>> {
  const token = await http.put("/latest/api/token", {
    "X-aws-ec2-metadata-token-ttl-seconds": AWS_TOKEN_SECONDS,
  });
  if (!token.ok) {
    return err(`${token.error} (inside of a container the hop limit of the instance's metadata must be 2)`);
  }
  const headers = { "X-aws-ec2-metadata-token": token.value.body.trim() };
  if (!/^[\x21-\x7e]{1,512}$/.test(headers["X-aws-ec2-metadata-token"])) return err("its token is not one");
  const id = await http.get("/latest/meta-data/instance-id", headers);
  if (!id.ok) return id;
  const interfaces = "/latest/meta-data/network/interfaces/macs/";
  const macs = await http.get(interfaces, headers);
  if (!macs.ok) return macs;
  const addresses: string[] = [];
  for (const line of lines(macs.value.body).slice(0, MAX_INTERFACES)) {
    const mac = line.replace(/\/$/, "");
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) continue;
    const found = await http.find(`${interfaces}${mac}/public-ipv4s`, headers);
    // An address that merely was not answered for has not gone.
    if (!found.ok) return found;
    addresses.push(...lines(found.value?.body ?? ""));
  }
  return ok(facts("aws", id.value.body.trim(), addresses));
}

async function gcp({ http }: Sources): Promise<Result<CloudFacts, string>> {
  const flavor = { "Metadata-Flavor": "Google" };
  const base = "/computeMetadata/v1/instance";
  const id = await http.get(`${base}/id`, flavor);
  if (!id.ok) return id;
  // Something else that answers at this address does not say this.
  if (id.value.headers["metadata-flavor"] !== "Google") return err("the answer is not Google's");
  const interfaces = await http.get(`${base}/network-interfaces/?recursive=true`, flavor);
  if (!interfaces.ok) return interfaces;
  const addresses = list(jsonOf(interfaces.value.body)).flatMap((one) => [
    ...list(field(one, "accessConfigs")).map((config) => text(config, "externalIp")),
    ...list(field(one, "ipv6s")).map(String),
  ]);
  return ok(facts("gcp", id.value.body.trim(), addresses));
}

/** Public addresses of the standard kind are known to the load balancer's half only. */
async function azure({ http }: Sources): Promise<Result<CloudFacts, string>> {
  const headers = { Metadata: "true" };
  const instance = await http.get(AZURE_INSTANCE, headers);
  if (!instance.ok) return instance;
  const all = jsonOf(instance.value.body);
  const balancer = await http.find(AZURE_BALANCER, headers);
  if (!balancer.ok) return balancer;
  const behind = field(jsonOf(balancer.value?.body ?? ""), "loadbalancer");
  const fronts = list(field(behind, "publicIpAddresses"));
  const addresses = list(field(field(all, "network"), "interface")).flatMap((one) =>
    list(field(field(one, "ipv4"), "ipAddress")).map((each) => text(each, "publicIpAddress")),
  );
  const shown = fronts.map((front) => text(front, "frontendIpAddress").replace(/^\[(.*)\]$/, "$1"));
  return ok(facts("azure", text(field(all, "compute"), "vmId"), [...addresses, ...shown]));
}

/** Only what is an address that somebody could be reached at, and an instance that could be one. */
function facts(provider: Cloud, instance: string, addresses: readonly string[]): CloudFacts {
  const usable = addresses
    .map((address) => canonicalIp(address.trim()))
    .filter((address) => address !== undefined)
    .filter((address) => ["global", "private"].includes(scopeOf(address)));
  return {
    provider,
    instance: INSTANCE_ID.test(instance) ? instance : "",
    addresses: [...new Set(usable)].slice(0, MAX_ADDRESSES).sort(),
  };
}

function lines(body: string): readonly string[] {
  return body
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}

function field(value: unknown, name: string): unknown {
  const isRecord = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return isRecord ? (value as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === "string" ? found : "";
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
