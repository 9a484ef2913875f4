/**
 * A reader of HCL as far as deploy/ uses it: blocks, attributes, and expressions checked for their grammar. Gives the blocks, with the
 * references of every expression. Terraform itself is not in Debian.
 */
export interface Block {
  readonly type: string;
  readonly labels: readonly string[];
  readonly attributes: ReadonlyMap<string, Expression>;
  readonly blocks: readonly Block[];
}

export interface Expression {
  /** The source. */
  readonly text: string;
  /** `var.x`, `aws_vpc.this.id`, `each.key`; names bound by `for` are left out. */
  readonly references: readonly string[];
  /** Names of the functions that it calls. */
  readonly calls: readonly string[];
}

interface Token {
  readonly kind: "name" | "number" | "string" | "symbol" | "newline" | "end";
  readonly text: string;
  readonly line: number;
  readonly from: number;
  readonly to: number;
  /** Expressions inside a string. */
  readonly inner: readonly Token[][];
}

const SYMBOLS = ["=>", "==", "!=", "<=", ">=", "&&", "||", "...", ..."{}[]()=,.:?!<>+-*/%"];

class Failure extends Error {}

function tokens(source: string, base = 0, firstLine = 1): Token[] {
  const list: Token[] = [];
  let at = 0;
  let line = firstLine;
  const push = (kind: Token["kind"], to: number, inner: Token[][] = []): void => {
    list.push({ kind, text: source.slice(at, to), line, from: base + at, to: base + to, inner });
    at = to;
  };
  while (at < source.length) {
    const rest = source.slice(at);
    const blank = /^(?:[ \t\r]+|#[^\n]*|\/\/[^\n]*)/.exec(rest);
    if (blank !== null) at += blank[0].length;
    else if (rest.startsWith("\n")) {
      push("newline", at + 1);
      line++;
    } else if (rest.startsWith('"')) {
      const { end, inner } = string(source, at, base, line);
      push("string", end, inner);
    } else {
      const name = /^[A-Za-z_][A-Za-z0-9_-]*/.exec(rest)?.[0];
      const number = /^[0-9]+(?:\.[0-9]+)?/.exec(rest)?.[0];
      const symbol = SYMBOLS.find((each) => rest.startsWith(each));
      if (name !== undefined) push("name", at + name.length);
      else if (number !== undefined) push("number", at + number.length);
      else if (symbol !== undefined) push("symbol", at + symbol.length);
      else throw new Failure(`line ${line}: ${JSON.stringify(rest[0])} is not HCL`);
    }
  }
  push("end", at);
  return list;
}

function string(source: string, from: number, base: number, line: number) {
  const inner: Token[][] = [];
  let at = from + 1;
  for (;;) {
    const c = source[at];
    if (c === undefined || c === "\n") throw new Failure(`line ${line}: a string does not end`);
    if (c === '"') return { end: at + 1, inner };
    if (c === "\\") at += 2;
    else if (source.startsWith("${", at) && source[at - 1] !== "$") {
      const end = source.indexOf("}", at);
      if (end < 0) throw new Failure(`line ${line}: \${ without }`);
      inner.push(tokens(source.slice(at + 2, end), base + at + 2, line));
      at = end + 1;
    } else at++;
  }
}

export function readHcl(source: string): readonly Block[] {
  const parser = new Parser(tokens(source), source);
  return parser.body("end").blocks;
}

class Parser {
  readonly #list: readonly Token[];
  readonly #source: string;
  #at = 0;
  #references: string[] = [];
  #calls: string[] = [];
  #bound: string[] = [];

  constructor(list: readonly Token[], source: string) {
    this.#list = list;
    this.#source = source;
  }

  #now(): Token {
    return this.#list[this.#at] as Token;
  }

  #fail(wanted: string): never {
    throw new Failure(`line ${this.#now().line}: ${JSON.stringify(this.#now().text)} in place of ${wanted}`);
  }

  #is(text: string): boolean {
    return this.#now().text === text && this.#now().kind !== "string";
  }

  #take(text?: string): Token {
    const token = this.#now();
    if (text !== undefined && !this.#is(text)) this.#fail(text);
    this.#at++;
    return token;
  }

  #lines(): void {
    while (this.#now().kind === "newline") this.#at++;
  }

  body(until: "end" | "}"): Pick<Block, "attributes" | "blocks"> {
    const attributes = new Map<string, Expression>();
    const blocks: Block[] = [];
    for (this.#lines(); !(until === "end" ? this.#now().kind === "end" : this.#is("}")); this.#lines()) {
      if (this.#now().kind !== "name") this.#fail("a name");
      const name = this.#take().text;
      if (this.#is("=")) {
        this.#take();
        if (attributes.has(name)) this.#fail(`another name than ${name}, which stands already`);
        attributes.set(name, this.#expression());
      } else {
        const labels: string[] = [];
        while (this.#now().kind === "string") labels.push(this.#take().text.slice(1, -1));
        this.#take("{");
        blocks.push({ type: name, labels, ...this.body("}") });
        this.#take("}");
      }
      if (this.#now().kind !== "newline" && this.#now().kind !== "end" && !this.#is("}"))
        this.#fail("the end of the line");
    }
    return { attributes, blocks };
  }

  #expression(): Expression {
    const { from } = this.#now();
    this.#references = [];
    this.#calls = [];
    this.#value();
    const to = (this.#list[this.#at - 1] as Token).to;
    return { text: this.#source.slice(from, to), references: this.#references, calls: this.#calls };
  }

  #value(): void {
    while (this.#is("!") || this.#is("-")) this.#take();
    this.#single();
    while (
      ["==", "!=", "<", ">", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%"].some((each) => this.#is(each))
    ) {
      this.#take();
      this.#single();
    }
    if (!this.#is("?")) return;
    this.#take();
    this.#value();
    this.#take(":");
    this.#value();
  }

  #single(): void {
    const token = this.#now();
    if (token.kind === "number") this.#take();
    else if (token.kind === "string") {
      this.#take();
      for (const inner of token.inner) this.#within(inner);
    } else if (this.#is("(")) this.#members("(", ")");
    else if (this.#is("[")) this.#members("[", "]");
    else if (this.#is("{")) this.#object();
    else if (token.kind === "name") this.#name();
    else this.#fail("an expression");
  }

  #within(inner: readonly Token[]): void {
    const parser = new Parser(inner, this.#source);
    parser.#bound = this.#bound;
    parser.#value();
    if (parser.#now().kind !== "end") parser.#fail("}");
    this.#references.push(...parser.#references);
    this.#calls.push(...parser.#calls);
  }

  #name(): void {
    const first = this.#take().text;
    if (this.#is("(")) {
      this.#calls.push(first);
      this.#members("(", ")");
      return;
    }
    if (["true", "false", "null"].includes(first)) return;
    const path = [first];
    for (;;) {
      if (this.#is(".")) {
        this.#take();
        if (this.#now().kind !== "name") this.#fail("a name");
        path.push(this.#take().text);
      } else if (this.#is("[")) {
        const former = this.#references;
        this.#members("[", "]");
        this.#references = former;
      } else break;
    }
    if (!this.#bound.includes(first)) this.#references.push(path.join("."));
  }

  #members(open: string, close: string): void {
    this.#take(open);
    this.#lines();
    if (this.#is("for")) this.#for(close, false);
    while (!this.#is(close)) {
      this.#value();
      this.#lines();
      if (this.#is(close)) break;
      this.#take(",");
      this.#lines();
    }
    this.#take(close);
  }

  #object(): void {
    this.#take("{");
    this.#lines();
    if (this.#is("for")) this.#for("}", true);
    while (!this.#is("}")) {
      if (this.#now().kind !== "name" && this.#now().kind !== "string") this.#fail("a key");
      this.#take();
      this.#take("=");
      this.#value();
      if (this.#is(",")) this.#take();
      else if (this.#now().kind !== "newline" && !this.#is("}")) this.#fail("the end of the line");
      this.#lines();
    }
    this.#take("}");
  }

  #for(close: string, keyed: boolean): void {
    const outer = this.#bound;
    this.#take("for");
    this.#bound = [...outer, this.#take().text];
    if (this.#is(",")) {
      this.#take();
      this.#bound = [...this.#bound, this.#take().text];
    }
    this.#take("in");
    this.#value();
    this.#take(":");
    this.#lines();
    this.#value();
    if (keyed) {
      this.#take("=>");
      this.#value();
    }
    this.#lines();
    if (!this.#is(close)) this.#fail(close);
    this.#bound = outer;
  }
}
