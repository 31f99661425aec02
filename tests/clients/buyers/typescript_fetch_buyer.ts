// Buys with the client that openapi-generator's typescript-fetch made. In: URL, ticket type. Out: JSON.
import { AccountsApi, Configuration, EventsApi, OrdersApi, PaymentApi, ResponseError } from "./client/index.js";

const [basePath, ticketType] = [process.argv[2]!, Number(process.argv[3])];
const email = `${crypto.randomUUID()}@example.com`, password = "correct horse battery";
const prefer = "wait=20, handling=strict";

const nobody = new Configuration({ basePath });
const accounts = new AccountsApi(nobody);
await accounts.register({ register: { email, password } });
const tokens = await accounts.login({ login: { email, password } });
const page = await new EventsApi(nobody).listEvents({ limit: 100 });
if (!page.data.some((event) => event.ticketTypes.some((one) => one.id === ticketType))) throw new Error("not on sale");

const signedIn = new Configuration({ basePath, accessToken: tokens.accessToken });
const orders = new OrdersApi(signedIn), payments = new PaymentApi(signedIn);
const order = await orders.placeOrder({
  prefer, idempotencyKey: crypto.randomUUID(), placeOrderBody: { items: [{ ticketTypeId: ticketType, quantity: 2 }] },
});
const quote = await payments.createQuote({ prefer, createQuoteBody: { orderId: order.id, asset: "BTC" } });
const txHash = "0x" + crypto.randomUUID().replaceAll("-", "").repeat(2);
await payments.confirmPayment({ prefer, paymentId: quote.id, confirmPaymentBody: { txHash } });
const shown = await orders.showOrder({ orderId: order.id });
let refused = "";
try {
  await orders.placeOrder({ prefer, placeOrderBody: { items: [{ ticketTypeId: ticketType, quantity: 500 }] } });
} catch (error) {
  if (!(error instanceof ResponseError)) throw error;
  refused = (await error.response.json()).code;
}
console.log(JSON.stringify({ order: shown.id, status: shown.status, year: shown.expiresAt.getUTCFullYear(), refused }));
