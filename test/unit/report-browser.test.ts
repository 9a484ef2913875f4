/** The page of hipctl report in a real browser: it is drawn, it fits, and it does nothing that its text asks for. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { reportPage } from "../../src/cli/report/page.ts";
import { chromium, type Visit, visit } from "../support/browser.ts";
import { HOSTILE, sampleReport } from "../support/report.ts";

const program = chromium();
const why = program === undefined ? " (needs chromium: make test-browser installs it)" : "";
const open = (page: string, more: object = {}): Promise<Visit> =>
  visit(program as string, { pages: { "/": page }, ...more });

/** What a script in a page around the report finds out about it. */
interface Seen {
  readonly title: string;
  readonly scripts: number;
  readonly images: number;
  readonly headings: readonly string[];
  /** Drawings that have an area, and all drawings that are pictures. */
  readonly drawn: number;
  readonly pictures: number;
  /** Texts of drawings that stand out of them. */
  readonly outside: readonly string[];
  /** Pixels by which the page is wider than its window. */
  readonly overflow: number;
  readonly background: string;
  readonly text: string;
}

const PROBE = `<!doctype html><title>probe</title><link rel="icon" href="data:,"><iframe src="/report" style="border:0;width:WIDTHpx;height:900px"></iframe><pre id="seen"></pre>
<script>
addEventListener("load", () => {
  const doc = document.querySelector("iframe").contentDocument;
  const pictures = [...doc.querySelectorAll('svg[role="img"]')];
  const outside = pictures.flatMap((svg) => {
    const box = svg.viewBox.baseVal;
    return [...svg.querySelectorAll("text")].filter((text) => {
      const own = text.getBBox();
      return own.x < box.x - 1 || own.y < box.y - 1 || own.x + own.width > box.x + box.width + 1 || own.y + own.height > box.y + box.height + 1;
    }).map((text) => text.textContent);
  });
  const body = doc.defaultView.getComputedStyle(doc.body);
  document.querySelector("#seen").textContent = JSON.stringify({
    title: doc.title,
    scripts: doc.scripts.length,
    images: doc.images.length,
    headings: [...doc.querySelectorAll("h2")].map((each) => each.textContent),
    drawn: pictures.filter((svg) => { const r = svg.getBoundingClientRect(); return r.width > 50 && r.height > 50; }).length,
    pictures: pictures.length,
    outside,
    overflow: doc.documentElement.scrollWidth - doc.documentElement.clientWidth,
    background: body.backgroundColor,
    text: doc.body.innerText,
  });
});
</script>`;

async function look(page: string, width: number, dark = false): Promise<Seen & { readonly visit: Visit }> {
  const pages = { "/": PROBE.replace("WIDTH", String(width)), "/report": page };
  const seen = await visit(program as string, { pages, width: width + 40, dark });
  const text = /<pre id="seen">(.*?)<\/pre>/s.exec(seen.dom)?.[1] ?? "";
  const plain = text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&nbsp;", " ")
    .replaceAll("&amp;", "&");
  return { ...(JSON.parse(plain) as Seen), visit: seen };
}

describe.skipIf(program === undefined)(`the report in a browser${why}`, () => {
  test("is drawn as a whole, asks nobody for anything, and has nothing to complain about", async () => {
    const seen = await look(reportPage(sampleReport()), 1240);
    expect(seen.title).toBe("hipd on app7.example");
    expect(seen.headings).toEqual([
      "Peers",
      "Throughput and round trip",
      "Time line",
      "Associations",
      "Locators",
      "Drops",
      "Versions and settings",
    ]);
    // The graph, two plots for each of three peers, the time line.
    expect(seen).toMatchObject({ pictures: 8, drawn: 8, outside: [], overflow: 0, scripts: 0, images: 0 });
    expect(seen.text).toContain("no_answer_to_i1");
    expect(seen.visit.console).toEqual([]);
    expect(seen.visit.requested.toSorted()).toEqual(["http://report.test/", "http://report.test/report"]);
  });

  test("fits a telephone, and is dark where the reader wants it", async () => {
    const [phone, night] = [
      await look(reportPage(sampleReport()), 390),
      await look(reportPage(sampleReport()), 1240, true),
    ];
    expect(phone.overflow).toBe(0);
    expect(phone.background).toBe("rgb(244, 245, 247)");
    expect(night.background).toBe("rgb(16, 20, 26)");
  });

  test("shows what peers and hosts call themselves as text, whatever it is", async () => {
    const seen = await look(reportPage(sampleReport(true)), 1240);
    expect(seen.title).toBe(`hipd on ${HOSTILE}`);
    expect(seen).toMatchObject({ scripts: 0, images: 0, overflow: 0 });
    expect(seen.text).toContain("<script>document.title='owned'</script>");
    expect(seen.visit.console).toEqual([]);
    expect(seen.visit.requested.toSorted()).toEqual(["http://report.test/", "http://report.test/report"]);
  });

  test("would fetch and run nothing even if markup got into it", async () => {
    const attack = "<script>document.title='owned'</script><img src='http://198.51.100.1/x'>";
    const page = reportPage(sampleReport());
    const open1 = await open(page.replace("</main>", `${attack}</main>`));
    expect(open1.dom).toContain("<title>hipd on app7.example</title>");
    expect(open1.requested).toEqual(["http://report.test/"]);
    expect(open1.console.join("\n")).toMatch(/Content Security Policy/);
    // The same without the policy: this test would see it.
    const bare = page.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "");
    const open2 = await open(bare.replace("</main>", `${attack}</main>`));
    expect(open2.dom).toContain("<title>owned</title>");
    expect(open2.requested).toContain("http://198.51.100.1/x");
  });

  test("makes a picture", async () => {
    const folder = join(import.meta.dirname, "../../.cache/test");
    mkdirSync(folder, { recursive: true });
    const screenshot = join(folder, "report.png");
    await open(reportPage(sampleReport()), { screenshot, height: 3_400 });
    expect(statSync(screenshot).size).toBeGreaterThan(50_000);
  });
});
