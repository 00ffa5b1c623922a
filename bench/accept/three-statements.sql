\set visitor random(1, 1000000000)
begin;
insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  values (gen_random_uuid(), int8send(:visitor), decode(repeat('5a', 80), 'hex'), decode(repeat('5a', 70), 'hex'), 1, now(), now())
  on conflict (address_index) do update set message_count = senders.message_count + 1, last_message_at = now()
  returning id as sender_id \gset
insert into messages (id, receipt, form_id, sender_id, status, content, client_address, received_at)
  values (gen_random_uuid(), left(md5(random()::text), 13), :form, :sender_id, 'accepted',
    decode(repeat('5a', 400), 'hex'), decode(repeat('5a', 60), 'hex'), now())
  returning id as message_id \gset
insert into emails (id, kind, state, message_id, recipient, due_at, internet_message_id, created_at)
  values (gen_random_uuid(), 'notification', 'queued', :message_id, 'owner@site.test', now(), gen_random_uuid()::text, now());
commit;
