/**
 * TLS 1.3 by Node's `tls`, AES-128-GCM, blocks of 128 KiB: `serve PORT CERTIFICATE KEY` and
 * `send HOST PORT SECONDS STREAMS`. Says the same as the sinks in C (bulk.h).
 */
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:tls";

const BLOCK = Buffer.alloc(128 << 10);
const VERSION = { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" } as const;

/** Some connections at once, and what came of all of them. */
interface Run {
  readonly streams: number;
  readonly first: number;
  last: number;
  ended: number;
  bytes: number;
  readonly tenths: number[];
}

let run: Run | undefined;

function count(chunk: Buffer): void {
  const when = performance.now();
  run ??= { streams: chunk[0] ?? 1, first: when, last: when, ended: 0, bytes: 0, tenths: [] };
  const tenth = Math.floor((when - run.first) / 100);
  while (run.tenths.length <= tenth) run.tenths.push(0);
  run.tenths[tenth] = (run.tenths[tenth] ?? 0) + chunk.length;
  run.bytes += chunk.length;
  run.last = when;
}

function end(): void {
  if (run === undefined || ++run.ended < run.streams) return;
  const { bytes, first, last, tenths } = run;
  console.log(JSON.stringify({ bytes, seconds: (last - first) / 1000, tenths }));
  run = undefined;
}

function serve(port: string, certificate: string, key: string): void {
  const options = { ...VERSION, cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer(options, (socket) => {
    socket.on("data", count);
    socket.on("end", () => {
      end();
      socket.end();
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen(Number(port), "::", () => console.log("listening"));
}

function send(host: string, port: string, seconds: string, streams: string): void {
  const last = performance.now() + Number(seconds) * 1000;
  let open = Number(streams);
  for (let i = 0; i < Number(streams); i++) {
    const socket = connect({ ...VERSION, host, port: Number(port), rejectUnauthorized: false }, () => {
      socket.write(Buffer.of(Number(streams)));
      const more = (): void => {
        while (performance.now() < last) {
          if (!socket.write(BLOCK)) return void socket.once("drain", more);
        }
        socket.end();
      };
      more();
    });
    socket.on("close", () => {
      if (--open === 0) process.exit(0);
    });
  }
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "serve") serve(...(rest as [string, string, string]));
else send(...(rest as [string, string, string, string]));
