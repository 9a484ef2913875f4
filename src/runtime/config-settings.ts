/** The tables of hipd.toml that the pure layers understand, as the values that they understand. */
import { DEFAULT_CONFIG, type HostConfig } from "../hip/config.ts";
import type { EspSuite } from "../hip/sa.ts";
import type { LocatorsConfig } from "../overlay/config.ts";
import { DEFAULT_PMTU } from "../overlay/pmtu.ts";
import type { RawConfig } from "./config-schema.ts";
import { withDefaultPort } from "./config-values.ts";

export function locatorsConfig(raw: RawConfig["locators"], port: number): LocatorsConfig {
  return {
    advertise: raw.advertise.map((locator) => withDefaultPort(locator, "udp", port)),
    interfaces: raw.interfaces,
    excludeInterfaces: raw.exclude_interfaces,
    addresses: raw.addresses,
    excludeAddresses: raw.exclude_addresses,
    deadPathAfter: raw.dead_path_after,
    probeInterval: raw.probe_interval,
    discoverMtu: raw.mtu_discovery,
    pmtu: { ...DEFAULT_PMTU, raise: raw.mtu_raise_after },
  };
}

export function hostConfig({ protocol, network, locators }: RawConfig): HostConfig {
  const { timers, puzzle } = protocol;
  return {
    ...DEFAULT_CONFIG,
    udpPort: network.port,
    mobility: { ...DEFAULT_CONFIG.mobility, pathPolicy: locators.path_policy },
    rekeyWithDh: protocol.rekey_with_dh,
    dhGroups: protocol.dh_groups,
    hipCiphers: protocol.hip_ciphers,
    // The schema lets only the IDs of ESP_SUITES through.
    espSuites: protocol.esp_suites as EspSuite[],
    encryptHostId: protocol.encrypt_host_id,
    domainIdentifier: protocol.domain,
    opportunistic: protocol.opportunistic,
    offerLsiSpi: protocol.lsi_spi,
    timers: {
      retransmit: timers.retransmit,
      retransmitMax: timers.retransmit_max,
      exchangeComplete: timers.exchange_complete,
      unusedAssociationLifetime: timers.unused_association_lifetime,
      maximumSegmentLifetime: timers.maximum_segment_lifetime,
      failedHold: timers.failed_hold,
      rekeyAfter: timers.rekey_after,
      r1Offered: timers.r1_offered,
      r1Remembered: timers.r1_remembered,
    },
    retries: protocol.retries,
    puzzle: {
      ...DEFAULT_CONFIG.puzzle,
      idleK: puzzle.idle_k,
      easyRate: puzzle.easy_rate,
      loadedK: puzzle.loaded_k,
      solveK: puzzle.solve_k,
      lifetime: puzzle.lifetime,
    },
    maxAssociations: protocol.max_associations,
    maxJobs: protocol.max_jobs,
    r1PerAddress: protocol.r1_per_address,
  };
}
