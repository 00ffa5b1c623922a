import { expect } from 'chai';
import { safeJson, showSafe } from '../../src/cli/terminal/safe-text.ts';

describe('safe text', () => {
  // Each of these changes the terminal or the text around it instead of being visible.
  const dangerous = [
    0x00, 0x07, 0x08, 0x09, 0x0a, 0x0d, 0x1b, 0x7f, 0x80, 0x85, 0x90, 0x9b, 0x9d, 0x9f, 0xad, 0x34f, 0x61c, 0x115f,
    0x180e, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2064, 0x2066,
    0x2067, 0x2068, 0x2069, 0x206f, 0x3164, 0xfeff, 0xffa0, 0xfff9, 0xe0001, 0xe0041, 0xe007f,
  ];

  it('shows every dangerous character as its number', () => {
    for (const codePoint of dangerous) {
      const shown = showSafe(`a${String.fromCodePoint(codePoint)}b`);
      expect(shown, codePoint.toString(16)).to.equal(`a\\u{${codePoint.toString(16)}}b`);
    }
  });

  it('shows a lone surrogate as its number', () => {
    expect(showSafe('a\ud800b')).to.equal('a\\u{d800}b');
  });

  it('shows a joiner as its number where it joins nothing', () => {
    for (const it of ['\u200c', '\u200d']) {
      const shown = `\\u{${it.codePointAt(0)?.toString(16)}}`;
      expect(showSafe(`${it}a${it} 1${it}2`)).to.equal(`${shown}a${shown} 1${shown}2`);
      expect(JSON.parse(safeJson(`a${it}b${it}`))).to.equal(`a${it}b${it}`);
    }
  });

  it('leaves ordinary text unchanged', () => {
    for (const text of ['علی\u200cرضا', 'ක්\u200dරි', '👨\u200d👩\u200d👧', '🧑🏽\u200d💻', '❤\ufe0f\u200d🔥']) {
      expect(showSafe(text)).to.equal(text);
      expect(safeJson(text)).to.equal(`"${text}"`);
    }
    for (const text of ['Grüße', '東京', 'Ελλάδα', 'שלום', 'नमस्ते', '❤️ 👍🏽', 'a – b… „c“', '\u00a0']) {
      expect(showSafe(text)).to.equal(text);
    }
  });

  it('keeps line ends where lines are allowed', () => {
    expect(showSafe('a\nb\u001b', { keepLines: true })).to.equal('a\nb\\u{1b}');
  });

  it('prints safe JSON that parses to the stored text', () => {
    const text = dangerous.map((it) => String.fromCodePoint(it)).join('x');
    const stored = { [text]: text, plain: 'Grüße\n"東京"', lone: '\ud800' };
    const json = safeJson(stored);
    expect(JSON.parse(json)).to.deep.equal(stored);
    expect(showSafe(json, { keepLines: true })).to.equal(json);
    expect(safeJson('\u{e0041}\u009b')).to.equal('"\\udb40\\udc41\\u009b"');
  });
});
