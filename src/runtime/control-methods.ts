/** The methods of the control API that give one answer: what they ask of the overlay or the identities, and what they make of it. */
import { err, ok, type Result } from "../core/types.ts";
import type { ControlReply, ControlRequest, NewPeer } from "../overlay/control.ts";
import { HIP_PORT } from "./config-schema.ts";
import { parseLocator, withDefaultPort } from "./config-values.ts";
import type { ControlBackend } from "./control-backend.ts";
import type { NamedIdentityView, Problem } from "./control-convert.ts";
import { type Fields, locatorMethods, type Unary } from "./control-locators.ts";
import { namesMethods } from "./control-names.ts";
import { parseDnsName } from "./dns/settings.ts";

const CONNECT_MILLIS = 20_000;

/** Those about locators and names are in files of their own. */
export function unaryMethods(backend: ControlBackend): Readonly<Record<string, Unary>> {
  /** Passes a request on; `pick` takes the answer out of the reply that was expected. */
  const ask =
    (
      build: (fields: Fields) => Result<ControlRequest, Problem>,
      pick: (reply: ControlReply) => unknown,
    ): Unary =>
    (fields, answer) => {
      const request = build(fields);
      if (!request.ok) {
        answer(request);
        return;
      }
      backend.request(request.value, (reply, last) => {
        if (reply.type === "error") answer(err({ code: reply.code, message: reply.message }));
        else if (last) answer(ok(pick(reply)));
      });
    };
  const plain = (request: ControlRequest, pick: (reply: ControlReply) => unknown): Unary =>
    ask(() => ok(request), pick);
  const peer = (fields: Fields): string => String(fields["peer"]);
  const named = (identities: readonly { readonly hit: string }[]): unknown[] =>
    identities.map((identity) => ({ ...identity, name: backend.identities.name(identity.hit) }));
  const identityList = (reply: ControlReply): unknown => ({
    identities: reply.type === "identities" ? named(reply.identities) : [],
  });
  const listIdentities = plain({ type: "identity-list" }, identityList);
  const getAssociation = ask(
    (fields) => ok({ type: "association-show", peer: peer(fields) }),
    (reply) => (reply.type === "association" ? reply.association : undefined),
  );
  const oneIdentity = (
    hit: Result<string, Problem>,
    answer: (result: Result<unknown, Problem>) => void,
  ): void => {
    if (!hit.ok) {
      answer(hit);
      return;
    }
    listIdentities({}, (list) => {
      if (!list.ok) {
        answer(list);
        return;
      }
      const { identities } = list.value as { identities: NamedIdentityView[] };
      const found = identities.find((identity) => identity.hit === hit.value);
      answer(
        found === undefined
          ? err({ code: "failed", message: "this identity is not in use yet; run: hipctl reload" })
          : ok(found),
      );
    });
  };
  return {
    GetStatus: plain({ type: "status" }, (reply) =>
      reply.type === "status"
        ? { ...reply, self: { ...reply.self, identities: named(reply.self.identities) } }
        : undefined,
    ),
    GetVersion: plain({ type: "version" }, (reply) => ({ ...reply, ready: backend.ready })),
    ListPeers: plain({ type: "peer-list" }, (reply) => reply),
    GetPeer: ask(
      (fields) => ok({ type: "peer-show", peer: peer(fields) }),
      (reply) => (reply.type === "peer" ? reply.peer : undefined),
    ),
    AddPeer: ask(
      (fields) => {
        const added = newPeer(fields, backend);
        return added.ok ? ok({ type: "peer-add", peer: added.value, keep: fields["keep"] === true }) : added;
      },
      (reply) => (reply.type === "peer" ? reply.peer : undefined),
    ),
    RemovePeer: ask(
      (fields) => ok({ type: "peer-remove", peer: peer(fields), keep: fields["keep"] === true }),
      (reply) => reply,
    ),
    ListAssociations: plain({ type: "association-list" }, (reply) => reply),
    GetAssociation: getAssociation,
    CloseAssociation: ask(
      (fields) => ok({ type: "association-close", peer: peer(fields) }),
      (reply) => reply,
    ),
    Connect: (fields, answer) => {
      const timeoutMillis = Number(fields["timeoutMillis"]) || CONNECT_MILLIS;
      const connect = plain({ type: "connect", peer: peer(fields), timeoutMillis }, (reply) => reply);
      connect(fields, (connected) => {
        if (!connected.ok) {
          answer(connected);
          return;
        }
        // The association once more, now with what the data plane knows of it.
        getAssociation(fields, (association) =>
          answer(
            association.ok
              ? ok({ ...(connected.value as object), association: association.value })
              : association,
          ),
        );
      });
    },
    ...locatorMethods(ask),
    ...namesMethods(backend),
    GetWhereabouts: plain({ type: "whereabouts" }, (reply) => ({
      ...reply,
      metadata: backend.metadata?.() ?? null,
    })),
    GetCounters: plain({ type: "counters" }, (reply) => reply),
    ListIdentities: listIdentities,
    GetIdentity: (fields, answer) => {
      const known = backend.identities.publicPart(String(fields["identity"]));
      if (!known.ok) {
        answer(known);
        return;
      }
      const { hit, hipRecord } = known.value;
      oneIdentity(ok(hit), (identity) =>
        answer(identity.ok ? ok({ identity: identity.value, hipRecord }) : identity),
      );
    },
    NewIdentity: (fields, answer) => {
      void backend.identities
        .make(String(fields["name"]), String(fields["kind"]))
        .then((hit) => oneIdentity(hit, answer));
    },
    ImportIdentity: (fields, answer) =>
      oneIdentity(
        backend.identities.import(String(fields["name"]), fields["privateKey"] as Uint8Array),
        answer,
      ),
    UseIdentity: (fields, answer) => {
      const hit = backend.identities.hit(String(fields["identity"]));
      if (!hit.ok) {
        answer(hit);
        return;
      }
      const target = fields["peer"];
      if (typeof target === "string") {
        return ask(() => ok({ type: "identity-use", hit: hit.value, peer: target }), identityList)(
          {},
          answer,
        );
      }
      const used = backend.identities.use(hit.value);
      if (!used.ok) {
        answer(used);
        return;
      }
      listIdentities({}, answer);
    },
    Reload: (_fields, answer) => answer(backend.reload()),
    AnnounceTakeover: (fields, answer) =>
      answer(backend.announceTakeover((fields["carrier"] as string | null) ?? undefined)),
  };
}

function newPeer(fields: Fields, backend: ControlBackend): Result<NewPeer, Problem> {
  const invalid = (message: string): Result<NewPeer, Problem> => err({ code: "invalid", message });
  const carrier = (fields["carrier"] as string | null) ?? backend.carrier;
  const family = (fields["inboundFamily"] as string | null) ?? "hit";
  if (carrier !== "udp" && carrier !== "none")
    return invalid(`encapsulation "${carrier}" is neither "udp" nor "none"`);
  if (family !== "hit" && family !== "lsi")
    return invalid(`inbound family "${family}" is neither "hit" nor "lsi"`);
  const locators = [];
  for (const text of fields["locators"] as string[]) {
    const locator = parseLocator(text);
    if (!locator.ok) return invalid(locator.error);
    if (carrier === "none" && locator.value.port !== 0) {
      return invalid(`locator ${text} has a port, but encapsulation "none" has no ports`);
    }
    locators.push(withDefaultPort(locator.value, carrier, HIP_PORT));
  }
  const reference = fields["identity"] as string | null;
  const dns = fields["dns"] === null ? undefined : parseDnsName(String(fields["dns"]));
  if (dns !== undefined && !dns.ok) return invalid(dns.error);
  const identity = reference === null ? undefined : backend.identities.hit(reference);
  if (identity !== undefined && !identity.ok) return identity;
  return ok({
    name: String(fields["name"]),
    hit: (fields["hit"] as string | null) ?? undefined,
    identity: identity?.value,
    carrier,
    locators,
    inboundFamily: family,
    dns: dns?.value,
  });
}
