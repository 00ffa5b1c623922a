import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import PostalMime from 'postal-mime';
import { createFileMailer } from '../../src/mail/file-mailer.ts';
import { mailerTo, someMail } from '../support/smtp-mail.ts';
import { startSmtpServer } from '../support/smtp-server.ts';

describe('mail as files', () => {
  let parent = '';
  let folder = '';
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'mail-files-'));
    folder = join(parent, 'data', 'mail');
  });
  afterEach(async () => {
    await rm(parent, { recursive: true, force: true });
  });

  it('writes an .eml file that only its owner can read', async () => {
    await using mailer = createFileMailer(folder);
    const mail = someMail({ id: '0193a0c4-0000-7000-8000-000000000001' });

    const outcome = await mailer.send(mail);

    const name = '20261122T073300Z-notification-0193a0c4-0000-7000-8000-000000000001.eml';
    expect(outcome).to.deep.equal({ result: 'accepted', reply: `written to ${name}` });
    expect(await readdir(folder)).to.deep.equal([name]);
    expect((await stat(join(folder, name))).mode & 0o777).to.equal(0o600);
    expect((await stat(folder)).mode & 0o777).to.equal(0o700);
    expect((await PostalMime.parse(await readFile(join(folder, name)))).subject).to.equal('New message');
  });

  it('replaces the file when the same mail is sent again', async () => {
    await using mailer = createFileMailer(folder);
    const mail = someMail();

    await Promise.all([mailer.send(mail), mailer.send(mail), mailer.send(mail)]);

    expect(await readdir(folder)).to.have.lengthOf(1);
  });

  it('contains the same bytes that SMTP sends', async () => {
    await using server = await startSmtpServer();
    await using smtp = mailerTo(server);
    await using files = createFileMailer(folder);
    const mail = someMail({ text: '.\n..\nä\n' });

    await smtp.send(mail);
    await files.send(mail);

    const [name = ''] = await readdir(folder);
    expect(await readFile(join(folder, name), 'latin1')).to.equal(server.messages[0]?.raw);
  });

  it('lets no kind or id escape from the folder', async () => {
    await using mailer = createFileMailer(folder);

    expect(await mailer.send(someMail({ id: '../../evil' }))).to.include({ result: 'refused' });
    expect(await mailer.send(someMail({ kind: '../evil' }))).to.include({ result: 'refused' });
    expect(await mailer.send(someMail({ to: 'a@b.test, c@d.test' }))).to.include({ result: 'refused' });
    expect(await readdir(parent)).to.deep.equal([]);
  });

  it('is "broken" if the folder cannot be used, and writes nothing', async () => {
    await writeFile(join(parent, 'file'), '');
    await using mailer = createFileMailer(join(parent, 'file', 'mail'));

    expect(await mailer.send(someMail())).to.include({ result: 'broken' });
    expect(await mailer.verify()).to.include({ result: 'broken' });
    await chmod(parent, 0o700);
    expect(await readdir(parent)).to.deep.equal(['file']);
  });

  it('says where the mail goes', async () => {
    await using mailer = createFileMailer(folder);

    expect(mailer.describes).to.equal(`files in ${folder}`);
    expect(await mailer.verify()).to.include({ result: 'accepted' });
    expect(await readdir(parent)).to.deep.equal([]);
    await using smtp = mailerTo({ host: '::1', port: 465 });
    expect(smtp.describes).to.equal('smtp://[::1]:465');
  });
});
