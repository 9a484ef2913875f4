/** TLS 1.3 by Node's `tls`, AES-128-GCM, blocks of 128 KiB: `serve PORT CERTIFICATE KEY` and `send HOST PORT SECONDS`. */
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:tls";

const BLOCK = Buffer.alloc(128 << 10);
const VERSION = { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" } as const;

function serve(port: string, certificate: string, key: string): void {
  const options = { ...VERSION, cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer(options, (socket) => {
    let bytes = 0;
    let first = 0;
    socket.on("data", (chunk) => {
      if (bytes === 0) first = performance.now();
      bytes += chunk.length;
    });
    socket.on("end", () => {
      console.log(`${bytes} ${((performance.now() - first) / 1000).toFixed(6)}`);
      socket.end();
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen(Number(port), "::", () => console.log("listening"));
}

function send(host: string, port: string, seconds: string): void {
  const socket = connect({ ...VERSION, host, port: Number(port), rejectUnauthorized: false }, () => {
    const end = performance.now() + Number(seconds) * 1000;
    const more = (): void => {
      while (performance.now() < end) {
        if (!socket.write(BLOCK)) return void socket.once("drain", more);
      }
      socket.end();
    };
    more();
  });
  socket.on("close", () => process.exit(0));
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "serve") serve(...(rest as [string, string, string]));
else send(...(rest as [string, string, string]));
