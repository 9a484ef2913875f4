/** What must not leave the machine, whoever put it where it was found. */

const PEM = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*)-----[\s\S]*?(?:-----END \1-----|$)/g;
/** `password = "..."`, `token: ...`: nothing of hipd's own has such a setting; somebody else's text may. */
const NAMED =
  /\b((?:pass(?:word|phrase|wd)?|secret|token|api[_-]?key|private[_-]?key|psk|authorization)["']?\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;]+)/gi;

export function withoutSecrets(text: string): string {
  return text
    .replace(PEM, "[a private key was here]")
    .replace(NAMED, (_all, name: string) => `${name}"[removed]"`);
}
