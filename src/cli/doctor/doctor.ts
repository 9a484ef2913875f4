/** All checks, in the order in which one thing rests on another. */
import type { Finding } from "../verdict.ts";
import { checkDaemon, checkUnit, checkVersions } from "./daemon.ts";
import { checkConfiguration, checkDisk, checkFiles } from "./disk.ts";
import type { Facts } from "./facts.ts";
import { checkFirewall } from "./firewall.ts";
import { checkDoor, checkGuard, checkInterface, checkOverlaps, checkPort } from "./interface.ts";
import { checkClock, checkKernel, checkPermissions, checkTun } from "./machine.ts";
import { checkAssociations, checkMetadata, checkMtu, checkNames, checkReachability } from "./paths.ts";
import { checkDrops, checkOffloads } from "./plane.ts";

export function diagnose(facts: Facts): readonly Finding[] {
  const { machine, config, files, disk, daemon, hipctl, unit, network, sockets, filters, cloud, names } =
    facts;
  const { plan } = config;
  const answers = daemon.answers.ok ? daemon.answers.value : undefined;
  const mtuOf = (name: string): number | undefined =>
    network.ok ? network.value.links.find((link) => link.name === name)?.mtu : undefined;
  return [
    ...checkKernel(machine),
    ...checkTun(machine),
    ...checkPermissions(machine, daemon),
    ...checkClock(machine),
    ...checkConfiguration(config),
    ...checkFiles(files, machine, daemon),
    ...checkDisk(disk, machine),
    ...checkUnit(unit, answers !== undefined),
    ...checkDaemon(daemon, unit, plan),
    ...checkVersions(daemon, hipctl, plan),
    ...checkOverlaps(network, plan),
    ...checkInterface(network, daemon, plan),
    ...checkGuard(network, daemon, plan),
    ...checkDoor(filters, daemon, plan),
    ...checkPort(sockets, daemon, machine, plan),
    ...checkFirewall(filters, daemon, machine, plan, network),
    ...checkReachability(daemon, machine),
    ...checkAssociations(daemon, machine),
    ...checkMtu(daemon, mtuOf),
    ...checkNames(daemon, names),
    ...checkMetadata(answers, cloud, plan.metadata),
    ...checkOffloads(daemon, plan, machine),
    ...checkDrops(daemon),
  ];
}
