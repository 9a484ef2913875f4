/** Which names stand above others: with a peer "db.example", the name "example" is there too, though nothing stands at it (RFC 8020). */

export class NameIndex {
  /** Each proper ending of a name behind one of its dots, with how many names have it. */
  readonly #endings = new Map<string, number>();

  add(name: string): void {
    this.#change(name, 1);
  }

  remove(name: string): void {
    this.#change(name, -1);
  }

  /** Whether some name ends with `.${ending}`. */
  hasBelow(ending: string): boolean {
    return this.#endings.has(ending);
  }

  #change(name: string, by: number): void {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const ending = name.slice(dot + 1);
      const count = (this.#endings.get(ending) ?? 0) + by;
      if (count > 0) this.#endings.set(ending, count);
      else this.#endings.delete(ending);
    }
  }
}
