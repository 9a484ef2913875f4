/** The dashboards as files. */
import { join } from "node:path";
import { FLEET } from "./fleet.ts";
import { HOST_DASHBOARD } from "./host.ts";
import { dashboardJson } from "./panels.ts";

export const GRAFANA = join(import.meta.dirname, "../../deploy/grafana");

export function dashboardFiles(): readonly (readonly [file: string, text: string])[] {
  return [
    [join(GRAFANA, "hipd-fleet.json"), text(FLEET)],
    [join(GRAFANA, "hipd-host.json"), text(HOST_DASHBOARD)],
  ];
}

function text(dashboard: Parameters<typeof dashboardJson>[0]): string {
  return `${JSON.stringify(dashboardJson(dashboard), null, 2)}\n`;
}
