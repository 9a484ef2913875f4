/** hipctl doctor: everything that can be wrong, looked at at once, each with its remedy. */
import type { Command } from "commander";
import { CommandFailure, contextOf } from "../context.ts";
import { CONFIG_OPTION, whereOf } from "../doctor/where.ts";
import { EXIT } from "../exit.ts";
import type { Io } from "../output.ts";
import { type Finding, findingsText, type Verdict, verdictText, worst } from "../verdict.ts";

export interface Diagnosis {
  readonly verdict: Verdict;
  readonly problems: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
}

export function addDoctor(program: Command, io: Io): void {
  program
    .command("doctor")
    .description("find out what is wrong with this host's overlay, and what to do about it")
    .option(...CONFIG_OPTION)
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const [{ gather }, { diagnose }] = await Promise.all([
        import("../doctor/gather.ts"),
        import("../doctor/doctor.ts"),
      ]);
      const facts = await gather({
        ...whereOf(command, io),
        now: io.now(),
        progress: io.progress,
      });
      const diagnosis = summed(diagnose(facts));
      context.print(diagnosis, () => diagnosisText(diagnosis, io.color, io.terminal?.columns()));
      if (diagnosis.problems > 0) throw new CommandFailure(EXIT.failed, "");
    });
}

export function summed(findings: readonly Finding[]): Diagnosis {
  const count = (verdict: Verdict): number => findings.filter((each) => each.verdict === verdict).length;
  return { verdict: worst(findings), problems: count("problem"), warnings: count("warning"), findings };
}

export function diagnosisText({ findings }: Diagnosis, color: boolean, width?: number): string {
  return `${findingsText(findings, color, width)}\n${summaryText(findings)}\n`;
}

/** `2 problems, 1 warning, 17 ok, 3 not checked` */
export function summaryText(findings: readonly Finding[]): string {
  const order: readonly Verdict[] = ["problem", "warning", "ok", "info", "not-checked"];
  const parts = order.flatMap((verdict) => {
    const count = findings.filter((each) => each.verdict === verdict).length;
    if (count === 0 && verdict !== "problem") return [];
    const plural = count !== 1 && (verdict === "problem" || verdict === "warning") ? "s" : "";
    return [`${count} ${verdictText(verdict)}${plural}`];
  });
  return parts.join(", ");
}
