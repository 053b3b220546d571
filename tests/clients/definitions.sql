set client_min_messages = warning;
drop schema if exists shown cascade;
create schema shown;
create table shown.base (id serial primary key, name text not null, n int check (n > 0), constraint uq unique (name));
comment on column shown.base.n is 'a number';
set search_path = shown;
create view v as select id, name as label from base where n > 1;
create view w as select label, count(*) from v group by label;
comment on view v is 'a view';
create sequence counts start 5;
create table ident (a int generated always as identity, b varchar(5));
\d+ base
\d v
\d+ v
\d+ w
\dv
\ds
\di
\d counts
\d ident
\dd
alter table base drop column n cascade;
alter table base add column z numeric(10,2) default 1.5;
\d base
drop schema shown cascade;
