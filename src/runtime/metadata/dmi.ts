/** Which cloud a machine runs in, by what its firmware says of itself: no packet is sent to find out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const CLOUDS = ["openstack", "aws", "gcp", "azure"] as const;
export type Cloud = (typeof CLOUDS)[number];

export const DMI_DIRECTORY = "/sys/class/dmi/id";

/** Longer values are no names. */
const MAX_LENGTH = 256;

/** Azure's machines and no other Hyper-V has this tag. */
const AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77";

const OPENSTACK_PRODUCTS = ["OpenStack Nova", "OpenStack Compute"];
const OPENSTACK_ASSET_TAGS = [...OPENSTACK_PRODUCTS, "HUAWEICLOUD", "OpenTelekomCloud", "SAP CCloud VM"];

/** Undefined: none that we know. */
export function detectCloud(directory: string = DMI_DIRECTORY): Cloud | undefined {
  const field = (name: string): string => read(join(directory, name));
  const [vendor, product, tag] = [field("sys_vendor"), field("product_name"), field("chassis_asset_tag")];
  // Instances on Xen say so in the BIOS version only.
  if (vendor === "Amazon EC2" || field("bios_vendor") === "Amazon EC2") return "aws";
  if (/amazon$/i.test(field("bios_version"))) return "aws";
  if (product === "Google Compute Engine") return "gcp";
  if (tag === AZURE_ASSET_TAG) return "azure";
  if (vendor === "OpenStack Foundation" || OPENSTACK_PRODUCTS.includes(product)) return "openstack";
  return OPENSTACK_ASSET_TAGS.includes(tag) ? "openstack" : undefined;
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1").slice(0, MAX_LENGTH).trim();
  } catch {
    return "";
  }
}
