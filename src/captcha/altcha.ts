import type { Challenge, Payload } from 'altcha-lib';
import type { Captcha } from './captcha.ts';

/** How long a challenge may be solved, in milliseconds: longer than most people need for a form. */
const lifeMs = 20 * 60_000;

/**
 * About 256 derivations of 5,000 rounds: a third of a second on a desktop, one or two on an old phone, and a few
 * milliseconds to check.
 */
const difficulty = { algorithm: 'PBKDF2/SHA-256', cost: 5000, keyPrefix: '00' };

/** The largest solution that is looked at, in characters. */
const longestSolution = 4000;

export interface Altcha extends Captcha {
  createChallenge(formSlug: string): Promise<Challenge>;
}

/**
 * ALTCHA proof of work, version 2 (altcha.org): no third party, no cookie, nothing to click. A challenge is signed,
 * bound to its form and short-lived. That a solution is used once is not the library's to see to: whoever stores
 * the message stores `use.id` with it.
 *
 * @param secret signs the challenges; the same on every server.
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
      // What the library would take as it comes, although no challenge of ours has it.
      if (payload.challenge.parameters.cost !== difficulty.cost || expiresAt === undefined) return { result: 'wrong' };
      try {
        const { verifySolution, deriveKey } = await load();
        const { verified } = await verifySolution({ ...payload, deriveKey, hmacSignatureSecret: secret });
        return verified
          ? { result: 'passed', use: { id: nonce, expiresAt: new Date(expiresAt * 1000) } }
          : { result: 'wrong' };
      } catch {
        // A payload that the library cannot even look at.
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
  if (solution.length > longestSolution) return undefined;
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
