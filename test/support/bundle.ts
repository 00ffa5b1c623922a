import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** As much of React as an example needs: the states of one component, and elements as plain objects. */
const miniature = `
const states = [];
let at = 0;
export const begin = () => { at = 0; };
export const h = (type, props, ...children) => ({ type, props: props ?? {}, children: children.flat(9) });
export function useState(initial) {
  const mine = at++;
  if (!(mine in states)) states[mine] = initial;
  return [states[mine], (value) => { states[mine] = value; }];
}`;

/** A browser module with packages in it, as a bundler builds it; `react` is a miniature. */
export async function bundle(source: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, loader: 'jsx', resolveDir: fileURLToPath(new URL('../..', import.meta.url)) },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'bundled',
    platform: 'browser',
    jsxFactory: 'h',
    supported: { 'top-level-await': true },
    plugins: [
      {
        name: 'react',
        setup(made) {
          made.onResolve({ filter: /^react$/ }, () => ({ path: 'react', namespace: 'miniature' }));
          made.onLoad({ filter: /.*/, namespace: 'miniature' }, () => ({ contents: miniature }));
        },
      },
    ],
  });
  return outputFiles[0]?.text ?? '';
}
