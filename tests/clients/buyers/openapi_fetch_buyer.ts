// Buys with the types that openapi-typescript made and openapi-fetch. In: URL, ticket type. Out: JSON.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [url, ticketType] = [process.argv[2]!, Number(process.argv[3])];
const email = `${crypto.randomUUID()}@example.com`, password = "correct horse battery";
const Prefer = "wait=20, handling=strict";

function present<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const nobody = createClient<paths>({ baseUrl: url });
present(await nobody.POST("/api/auth/register", { body: { email, password } }));
const tokens = present(await nobody.POST("/api/auth/login", { body: { email, password } }));
const page = present(await nobody.GET("/api/events", { params: { query: { limit: 100 } } }));
if (!page.data.some((event) => event.ticketTypes.some((one) => one.id === ticketType))) throw new Error("not on sale");

const hub = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${tokens.accessToken}` } });
const placed = await hub.POST("/api/orders", {
  params: { header: { Prefer, "Idempotency-Key": crypto.randomUUID() } },
  body: { items: [{ ticketTypeId: ticketType, quantity: 2 }] },
});
const order = present(placed);
if (!("details" in order)) throw new Error("a 202 in spite of handling=strict");
const quote = present(await hub.POST("/api/public/payment/create-quote", { params: { header: { Prefer } }, body: { orderId: order.id, asset: "BTC" } }));
if (!("quoteRate" in quote)) throw new Error("a 202 in spite of handling=strict");
const txHash = "0x" + crypto.randomUUID().replaceAll("-", "").repeat(2);
present(await hub.POST("/api/public/payment/confirm-payment/{paymentId}", {
  params: { path: { paymentId: quote.id }, header: { Prefer } }, body: { txHash },
}));
const shown = present(await hub.GET("/api/orders/{orderId}", { params: { path: { orderId: order.id } } }));
const refused = await hub.POST("/api/orders", {
  params: { header: { Prefer } }, body: { items: [{ ticketTypeId: ticketType, quantity: 500 }] },
});
console.log(JSON.stringify({
  order: shown.id, status: shown.status, year: new Date(shown.expiresAt).getUTCFullYear(), refused: refused.error?.code,
}));
