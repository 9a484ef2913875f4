/** Writes deploy/grafana: `node tools/dashboards.ts`. */
import { writeFileSync } from "node:fs";
import { dashboardFiles } from "./dashboards/files.ts";

for (const [file, text] of dashboardFiles()) {
  writeFileSync(file, text);
  console.log(file);
}
