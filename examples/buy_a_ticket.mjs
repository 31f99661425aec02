// Buy tickets: `node buy_a_ticket.mjs TICKET_TYPE_ID [QUANTITY]`.
//
// In: EVENTHUB_URL; EVENTHUB_EMAIL and EVENTHUB_PASSWORD of an account that is made when there is none (without them
// a new one is made up). Out: the confirmed order as JSON. Needs nothing but Node 18 or later.
//
// Every command is sent with an Idempotency-Key of its own and repeated under that key until its answer is known: it
// is done once, whatever is lost on the way.

import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const env = process.env;
const url = env.EVENTHUB_URL ?? "http://127.0.0.1:8080";
const account = {
  email: env.EVENTHUB_EMAIL ?? `buyer-${randomBytes(4).toString("hex")}@example.com`,
  password: env.EVENTHUB_PASSWORD ?? randomBytes(18).toString("base64url"),
};
const TRIES = 20;

/** EventHub said no; `problem` says why (decide by its `code`). */
class Refused extends Error {
  constructor(problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** One call, repeated while EventHub asks to be asked again; the JSON of its answer. */
async function call(method, path, { body, token, key } = {}) {
  const headers = { "Content-Type": "application/json", Prefer: "wait=10" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    if (answer.ok && answer.status !== 202) return answer.json();
    let seconds = 1; // 202: it is not decided yet; ask again under the same key.
    if (!answer.ok) {
      const problem = await answer.json();
      if (![429, 503].includes(answer.status)) throw new Refused(problem);
      seconds = Number(answer.headers.get("Retry-After") ?? 1);
    }
    await pause(seconds * 1000);
  }
  throw new Error(`${method} ${path}: no decision after ${TRIES} tries`);
}

/** An access token; the account is made when there is none. */
async function signIn() {
  try {
    await call("POST", "/api/auth/register", { body: account });
  } catch (error) {
    if (error.problem?.code !== "EMAIL_TAKEN") throw error;
  }
  return (await call("POST", "/api/auth/login", { body: account })).accessToken;
}

/** Order, quote, pay; the order at the end. */
async function buy(ticketTypeId, quantity) {
  const token = await signIn();
  const command = (path, body) => call("POST", path, { body, token, key: randomUUID() });
  const order = await command("/api/orders", { items: [{ ticketTypeId, quantity }] });
  if (order.status === "PENDING_PAYMENT") { // Free tickets are confirmed at once.
    const quote = { orderId: order.id, asset: "BTC" };
    const payment = await command("/api/public/payment/create-quote", quote);
    // Here a wallet sends payment.amountCrypto; payments are simulated, so any well-formed hash will do.
    const sent = { txHash: `0x${randomBytes(32).toString("hex")}` };
    await command(`/api/public/payment/confirm-payment/${payment.id}`, sent);
  }
  return call("GET", `/api/orders/${order.id}`, { token });
}

try {
  const [type, quantity = "1"] = process.argv.slice(2);
  console.log(JSON.stringify(await buy(Number(type), Number(quantity)), null, 2));
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
