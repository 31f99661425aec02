// A gate builder's own check of codes and of a bundle: npm's jose, npm's RFC 8785, the published keys, nothing else.
//
// In: the address of EventHub; one JSON file {"codes": [...], "bundles": [...]}. Out: one JSON line, what each is.
import { readFile } from "node:fs/promises";
import canonicalize from "canonicalize";
import { createLocalJWKSet, createRemoteJWKSet, flattenedVerify, jwtVerify } from "jose";

const keys = createRemoteJWKSet(new URL("/.well-known/eventhub-tickets.json", process.argv[2]));
const options = { algorithms: ["EdDSA"], typ: "ticket+jwt" };

async function claimsOf(code) {
  try {
    const { payload, protectedHeader } = await jwtVerify(code, keys, options);
    return { payload, kid: protectedHeader.kid };
  } catch (error) {
    return { refused: error.code ?? error.name };
  }
}

async function holds({ signature, ...rest }) {
  const [header, , mark] = signature.split(".");
  const payload = Buffer.from(canonicalize(rest)).toString("base64url");
  const signed = { protected: header, payload, signature: mark };
  try {
    await flattenedVerify(signed, createLocalJWKSet({ keys: rest.keys }), { algorithms: ["EdDSA"] });
    return true;
  } catch (error) {
    if (error.code !== "ERR_JWS_SIGNATURE_VERIFICATION_FAILED") throw error;
    return false;
  }
}

const { codes, bundles } = JSON.parse(await readFile(process.argv[3], "utf8"));
console.log(JSON.stringify({
  codes: await Promise.all(codes.map(claimsOf)),
  bundles: await Promise.all(bundles.map(holds)),
}));
