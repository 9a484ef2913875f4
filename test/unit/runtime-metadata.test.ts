/** The cloud's metadata service, played by a server on the loopback interface. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { CloudFacts } from "../../src/overlay/whereabouts.ts";
import { readConfigDrive } from "../../src/runtime/metadata/config-drive.ts";
import { type Cloud, detectCloud } from "../../src/runtime/metadata/dmi.ts";
import { MAX_BODY_BYTES, metadataHttp } from "../../src/runtime/metadata/http.ts";
import { METADATA_PLACES, type MetadataPlaces, MetadataPoller } from "../../src/runtime/metadata/poller.ts";
import { PROVIDERS } from "../../src/runtime/metadata/providers.ts";
import { memoryLog, temporaryFolder } from "../support/runtime.ts";

type Page = string | ((request: IncomingMessage, response: ServerResponse) => void);

const servers: Server[] = [];
const pollers: MetadataPoller[] = [];

afterEach(() => {
  for (const poller of pollers.splice(0)) poller.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server with these pages; the others are 404. Its URL, and what it was asked. */
async function serve(pages: Record<string, Page>): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const page = pages[`${request.method} ${request.url}`] ?? pages[request.url ?? ""];
    if (page === undefined) {
      response.statusCode = 404;
      response.end("<html>not here</html>");
    } else if (typeof page === "string") response.end(page);
    else page(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const NO_DRIVE = { mounts: "/nowhere", root: "/" };

function read(cloud: Cloud, url: string, configDrive = NO_DRIVE) {
  return PROVIDERS[cloud]({ http: metadataHttp(url, 500), configDrive });
}

describe("OpenStack", () => {
  test("uuid and floating IP", async () => {
    const { url } = await serve({
      "/openstack/latest/meta_data.json": JSON.stringify({ uuid: "d8e02d56-2648-49a3-bf97-6be8f1204f38" }),
      "/latest/meta-data/public-ipv4": "203.0.113.5\n",
    });
    expect(await read("openstack", url)).toEqual({
      ok: true,
      value: {
        provider: "openstack",
        instance: "d8e02d56-2648-49a3-bf97-6be8f1204f38",
        addresses: ["203.0.113.5"],
      },
    });
  });

  test("without a floating IP, and with the EC2 half only", async () => {
    const { url } = await serve({
      "/latest/meta-data/public-ipv4": "",
      "/latest/meta-data/instance-id": "i-0000000a",
    });
    expect(await read("openstack", url)).toMatchObject({ value: { instance: "i-0000000a", addresses: [] } });
  });

  test("a config drive when nobody answers", async () => {
    const root = temporaryFolder();
    const mounts = join(root, "mounts");
    writeFileSync(
      mounts,
      "proc /proc proc rw 0 0\n/dev/sr0 /mnt/a\\040drive iso9660 ro 0 0\n/dev/vda /data ext4 rw 0 0\n",
    );
    const put = (name: string, content: unknown): void => {
      const file = join(root, "mnt/a drive", name);
      mkdirSync(join(file, ".."), { recursive: true });
      writeFileSync(file, JSON.stringify(content));
    };
    put("openstack/latest/meta_data.json", { uuid: "u-1" });
    put("ec2/latest/meta-data.json", { "public-ipv4": "203.0.113.6" });
    const drive = { mounts, root };
    expect(readConfigDrive(drive)).toEqual({ instance: "u-1", publicAddress: "203.0.113.6" });
    expect(await read("openstack", "http://127.0.0.1:9", drive)).toMatchObject({
      value: { instance: "u-1", addresses: ["203.0.113.6"] },
    });
    const none = await read("openstack", "http://127.0.0.1:9");
    expect(none).toMatchObject({ ok: false, error: expect.stringMatching(/no config drive$/) });
  });
});

describe("AWS", () => {
  const TOKEN = "AQAEANtoken==";
  const withToken =
    (text: string): Page =>
    (request, response) => {
      if (request.headers["x-aws-ec2-metadata-token"] !== TOKEN) response.statusCode = 401;
      response.end(text);
    };
  const macs = "/latest/meta-data/network/interfaces/macs/";
  const pages: Record<string, Page> = {
    "PUT /latest/api/token": (request, response) => {
      response.statusCode = request.headers["x-aws-ec2-metadata-token-ttl-seconds"] === undefined ? 400 : 200;
      response.end(TOKEN);
    },
    "/latest/meta-data/instance-id": withToken("i-1234567890abcdef0"),
    [macs]: withToken("02:29:96:8f:6a:2d/\n02:29:96:8f:6a:2e/\n../../etc/\n"),
    [`${macs}02:29:96:8f:6a:2d/public-ipv4s`]: withToken("203.0.113.7\n203.0.113.8"),
  };

  test("asks for a token first, then every interface", async () => {
    const { url, asked } = await serve(pages);
    expect(await read("aws", url)).toMatchObject({
      value: { provider: "aws", instance: "i-1234567890abcdef0", addresses: ["203.0.113.7", "203.0.113.8"] },
    });
    expect(asked[0]).toBe("PUT /latest/api/token");
    expect(asked.filter((path) => path.includes("etc"))).toEqual([]);
  });

  test("without a token nothing else is asked, and the hop limit is named", async () => {
    const { url, asked } = await serve({ ...pages, "PUT /latest/api/token": () => undefined });
    expect(await read("aws", url)).toMatchObject({
      ok: false,
      error: expect.stringMatching(/500 ms.*hop limit/),
    });
    expect(asked).toEqual(["PUT /latest/api/token"]);
  });

  test("an interface that is not answered for takes no address away", async () => {
    const broken: Page = (_, response) => {
      response.statusCode = 503;
      response.end();
    };
    const { url } = await serve({ ...pages, [`${macs}02:29:96:8f:6a:2e/public-ipv4s`]: broken });
    expect((await read("aws", url)).ok).toBe(false);
  });
});

describe("Google", () => {
  const google =
    (text: string): Page =>
    (request, response) => {
      if (request.headers["metadata-flavor"] !== "Google") response.statusCode = 403;
      response.setHeader("Metadata-Flavor", "Google");
      response.end(text);
    };
  const interfaces = [
    { ip: "10.0.0.2", accessConfigs: [{ externalIp: "203.0.113.9", type: "ONE_TO_ONE_NAT" }, {}] },
    { ip: "10.1.0.2", ipv6s: ["2600:1900::1"] },
  ];

  test("external addresses of both families; a number that JSON would round", async () => {
    const { url } = await serve({
      "/computeMetadata/v1/instance/id": google("7419263045286194837"),
      "/computeMetadata/v1/instance/network-interfaces/?recursive=true": google(JSON.stringify(interfaces)),
    });
    expect(await read("gcp", url)).toMatchObject({
      value: { instance: "7419263045286194837", addresses: ["203.0.113.9", "2600:1900::1"] },
    });
  });

  test("somebody else at this address is not believed", async () => {
    const { url } = await serve({ "/computeMetadata/v1/instance/id": "1" });
    expect(await read("gcp", url)).toEqual({ ok: false, error: "the answer is not Google's" });
  });
});

test("Azure: addresses of both kinds", async () => {
  const azure =
    (value: unknown): Page =>
    (request, response) => {
      response.statusCode = request.headers["metadata"] === "true" ? 200 : 400;
      response.end(JSON.stringify(value));
    };
  const ipAddress = [
    { privateIpAddress: "10.0.0.4", publicIpAddress: "203.0.113.10" },
    { publicIpAddress: "" },
  ];
  const { url } = await serve({
    "/metadata/instance?api-version=2021-02-01&format=json": azure({
      compute: { vmId: "02aab8a4-74ef-476e-8182-f6d2ba4166a6" },
      network: { interface: [{ ipv4: { ipAddress } }] },
    }),
    "/metadata/loadbalancer?api-version=2020-10-01&format=json": azure({
      loadbalancer: {
        publicIpAddresses: [{ frontendIpAddress: "203.0.113.11" }, { frontendIpAddress: "[2a01::1]" }],
      },
    }),
  });
  expect(await read("azure", url)).toMatchObject({
    value: {
      instance: "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
      addresses: ["203.0.113.10", "203.0.113.11", "2a01::1"],
    },
  });
});

describe("whoever answers is not believed much", () => {
  test.each([
    "<html>203.0.113.5</html>",
    "203.0.113.5/24",
    "203.0.113.999",
    "0313.0.113.5",
    "127.0.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "::ffff:203.0.113.5",
    "localhost",
  ])("%j is no public address", async (text) => {
    const { url } = await serve({ "/latest/meta-data/public-ipv4": text });
    expect(await read("openstack", url)).toMatchObject({ value: { addresses: [] } });
  });

  test.each([
    "not json",
    "[]",
    "null",
    '"text"',
    '{"uuid":7}',
    '{"uuid":"a b\\nc"}',
    `{"uuid":"${"x".repeat(200)}"}`,
  ])("%s names no instance", async (text) => {
    const { url } = await serve({ "/openstack/latest/meta_data.json": text });
    expect(await read("openstack", url)).toMatchObject({ value: { instance: "" } });
  });

  test("redirects are not followed, endless answers are cut, silence ends", async () => {
    const { url, asked } = await serve({
      "/away": (_, response) => {
        response.writeHead(302, { location: "/private" });
        response.end();
      },
      "/long": (_, response) => response.end("x".repeat(MAX_BODY_BYTES + 1)),
      "/drip": (_, response) => void response.write("x"),
    });
    const http = metadataHttp(url, 200);
    expect(await http.get("/away")).toEqual({ ok: false, error: "GET /away: status 302" });
    expect(await http.get("/long")).toMatchObject({
      error: expect.stringMatching(/longer than 65536 bytes/),
    });
    expect(await http.get("/drip")).toEqual({ ok: false, error: "GET /drip: no answer within 200 ms" });
    expect(asked).not.toContain("GET /private");
    expect(await http.find("/nothing")).toEqual({ ok: true, value: undefined });
  });
});

describe("which cloud it is", () => {
  test.each([
    [{ sys_vendor: "Amazon EC2" }, "aws"],
    [{ sys_vendor: "Xen", bios_version: "4.11.amazon" }, "aws"],
    [{ sys_vendor: "Google", product_name: "Google Compute Engine" }, "gcp"],
    [{ sys_vendor: "Microsoft Corporation", chassis_asset_tag: "7783-7084-3265-9085-8269-3286-77" }, "azure"],
    [{ sys_vendor: "Microsoft Corporation", product_name: "Virtual Machine" }, undefined],
    [{ sys_vendor: "OpenStack Foundation", product_name: "OpenStack Nova" }, "openstack"],
    [{ sys_vendor: "QEMU", chassis_asset_tag: "OpenStack Compute" }, "openstack"],
    [{ sys_vendor: "Dell Inc.", product_name: "PowerEdge" }, undefined],
    [{}, undefined],
  ])("%j: %s", (fields, cloud) => {
    const folder = temporaryFolder();
    for (const [name, value] of Object.entries(fields)) writeFileSync(join(folder, name), `${value}\n`);
    expect(detectCloud(folder)).toBe(cloud);
  });
});

describe("the poller", () => {
  /** A poller of this server, and a way to await what it finds next. */
  function poll(url: string, more: Partial<MetadataPlaces> = {}) {
    const found: CloudFacts[] = [];
    const waiting: (() => void)[] = [];
    const { log, lines } = memoryLog();
    const places = { ...METADATA_PLACES, url, configDrive: NO_DRIVE, timeout: 300, dmi: "/nowhere", ...more };
    const poller = new MetadataPoller(places, log, (facts) => {
      found.push(facts);
      for (const wake of waiting.splice(0)) wake();
    });
    pollers.push(poller);
    const next = () => new Promise<void>((resolve) => void waiting.push(resolve));
    return { poller, found, lines, next };
  }

  test("asks nobody when there is no cloud, and nobody when it is off", async () => {
    const { url, asked } = await serve({});
    const { poller } = poll(url);
    poller.configure({ source: "auto", intervalMillis: 10 });
    poller.configure({ source: "off", intervalMillis: 10 });
    expect(poller.cloud).toBeUndefined();
    expect(poller.counters().metadata_requests_total).toBe(0);
    expect(asked).toEqual([]);
  });

  test("tells what is new, once, and goes on asking", async () => {
    let address = "203.0.113.5";
    const { url, asked } = await serve({
      "/latest/meta-data/public-ipv4": (_, response) => {
        // What is the same again is no news: only when it was seen twice it changes.
        if (asked.filter((path) => path.endsWith("public-ipv4")).length === 3) address = "203.0.113.6";
        response.end(address);
      },
    });
    const { poller, found, next } = poll(url);
    const first = next();
    poller.configure({ source: "openstack", intervalMillis: 5 });
    await first;
    await next();
    expect(found.map(({ addresses }) => addresses)).toEqual([["203.0.113.5"], ["203.0.113.6"]]);
    expect(poller.counters()).toMatchObject({ metadata_changes_total: 2, metadata_failures_total: 0 });
    // Turned off: nothing that it said stands any more.
    poller.configure({ source: "off", intervalMillis: 5 });
    expect(found.at(-1)).toEqual({ provider: "", instance: "", addresses: [] });
  });

  test("keeps what it knows while the service fails, says so once, and tries again", async () => {
    let broken = false;
    const { url } = await serve({
      "/latest/meta-data/public-ipv4": (_, response) => {
        if (broken) response.statusCode = 500;
        response.end(broken ? "" : "203.0.113.5");
      },
    });
    const { poller, found, lines, next } = poll(url, { backOff: [1, 4] });
    const first = next();
    poller.configure({ source: "openstack", intervalMillis: 5 });
    await first;
    broken = true;
    while (poller.counters().metadata_failures_total < 4)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(found).toHaveLength(1);
    const complaints = lines.filter((line) => line["event"] === "metadata-unreachable");
    expect(complaints.filter((line) => line["level"] === "warn")).toHaveLength(1);
    expect(complaints[0]).toMatchObject({ cloud: "openstack", reason: expect.stringMatching(/status 500/) });
  });
});
