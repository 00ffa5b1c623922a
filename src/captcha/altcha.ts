import type { Challenge, Payload } from 'altcha-lib';
import type { Captcha } from './kinds.ts';

/** How long a challenge is valid. Most people need less for a form. */
const lifeMs = 20 * 60_000;

/** About 256 derivations of 5,000 rounds: 0.3 s on a desktop, 1 to 2 s on an old phone, and a few ms to check. */
const difficulty = { algorithm: 'PBKDF2/SHA-256', cost: 5000, keyPrefix: '00' };

/** In characters. */
const maxSolutionLength = 4000;

export interface Altcha extends Captcha {
  createChallenge(formSlug: string): Promise<Challenge>;
}

/**
 * ALTCHA proof of work, version 2 (altcha.org): no third party, no cookie, nothing to click. A challenge is signed,
 * bound to its form and expires soon. The library does not prevent a second use of a solution: the statement that stores
 * the message also stores `use.id`.
 *
 * @param secret signs the challenges; every server must have the same one.
 */
export function createAltcha(secret: string): Altcha {
  return {
    async createChallenge(formSlug) {
      const { createChallenge, deriveKey } = await load();
      return await createChallenge({
        ...difficulty,
        deriveKey,
        expiresAt: new Date(Date.now() + lifeMs),
        data: { form: formSlug },
        hmacSignatureSecret: secret,
      });
    },

    async check(solution, { formSlug }) {
      const payload = readPayload(solution);
      if (payload === undefined || payload.challenge.parameters.data?.['form'] !== formSlug) return { result: 'wrong' };
      const { nonce, expiresAt } = payload.challenge.parameters;
      // The library accepts any cost and a missing expiry, but our challenges have neither.
      if (payload.challenge.parameters.cost !== difficulty.cost || expiresAt === undefined) return { result: 'wrong' };
      try {
        const { verifySolution, deriveKey } = await load();
        // By name: the visitor's JSON could contain options of the library.
        const { challenge, solution: solved } = payload;
        const { verified } = await verifySolution({
          challenge,
          solution: solved,
          deriveKey,
          hmacSignatureSecret: secret,
        });
        return verified
          ? { result: 'passed', use: { id: nonce, expiresAt: new Date(expiresAt * 1000) } }
          : { result: 'wrong' };
      } catch {
        // The library throws for a malformed payload.
        return { result: 'wrong' };
      }
    },
  };
}

async function load() {
  const [{ createChallenge, verifySolution }, { deriveKey }] = await Promise.all([
    import('altcha-lib'),
    import('altcha-lib/algorithms/pbkdf2'),
  ]);
  return { createChallenge, verifySolution, deriveKey };
}

/** A widget posts base64 of `{challenge, solution}`; programs may post the JSON itself. */
function readPayload(solution: string): Payload | undefined {
  if (solution.length > maxSolutionLength) return undefined;
  try {
    const text = solution.startsWith('{') ? solution : Buffer.from(solution, 'base64').toString('utf8');
    const payload = JSON.parse(text) as Payload;
    const { parameters } = payload.challenge;
    const isComplete =
      typeof parameters.nonce === 'string' && typeof payload.solution === 'object' && payload.solution !== null;
    return isComplete ? payload : undefined;
  } catch {
    return undefined;
  }
}
