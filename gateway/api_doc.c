/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_doc.h"

#include <string.h>

#include "base/clock.h"

void api_doc_begin(struct api_doc *d)
{
    d->j = json_new_object();
    d->failed = !d->j;
}

static void doc_keep(struct api_doc *d, bool ok)
{
    if (!ok)
        d->failed = true;
}

void api_doc_text(struct api_doc *d, const char *key, const char *text)
{
    doc_keep(d, json_set_text(d->j, key, text));
}

void api_doc_text_or_null(struct api_doc *d, const char *key, const char *text)
{
    doc_keep(d, json_set_text(d->j, key, text && text[0] ? text : NULL));
}

void api_doc_u64(struct api_doc *d, const char *key, uint64_t v)
{
    doc_keep(d, json_set_int(d->j, key,
                             v > INT64_MAX ? INT64_MAX : (int64_t)v));
}

void api_doc_int(struct api_doc *d, const char *key, int64_t v)
{
    doc_keep(d, json_set_int(d->j, key, v));
}

void api_doc_int_or_null(struct api_doc *d, const char *key, int64_t v)
{
    if (v)
        api_doc_int(d, key, v);
    else
        api_doc_text(d, key, NULL);
}

void api_doc_bool(struct api_doc *d, const char *key, bool v)
{
    doc_keep(d, json_set_bool(d->j, key, v));
}

void api_doc_time(struct api_doc *d, const char *key, uint64_t wall_ms)
{
    char text[CLOCK_TEXT];

    if (wall_ms)
        clock_rfc3339(wall_ms, text);
    api_doc_text(d, key, wall_ms ? text : NULL);
}

void api_doc_take(struct api_doc *d, const char *key, struct json *take)
{
    doc_keep(d, json_set(d->j, key, take));
}

void api_doc_parsed(struct api_doc *d, const char *key, const char *text)
{
    struct json *parsed = NULL;
    struct err err;

    if (text[0] &&
        json_parse(text, strlen(text), &parsed, &err) == ERR_NOMEM)
        doc_keep(d, false);
    api_doc_take(d, key, parsed ? parsed : json_new_null());
}

void api_doc_pin(struct api_doc *d, const char *key, bool has,
                 const uint8_t sha256[32])
{
    char text[65];

    if (has)
        bytes_hex(sha256, 32, text);
    api_doc_text(d, key, has ? text : NULL);
}

struct json *api_doc_end(struct api_doc *d)
{
    if (!d->failed)
        return d->j;
    json_free(d->j);
    return NULL;
}

struct json *api_doc_tenant(const struct catalog_tenant *t)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "name", t->name);
    api_doc_text(&d, "title", t->title);
    api_doc_text(&d, "state", catalog_tenant_state_name(t->state));
    api_doc_time(&d, "created", t->created_ms);
    api_doc_time(&d, "changed", t->changed_ms);
    return api_doc_end(&d);
}

struct json *api_doc_token(const struct catalog_token *t)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_int(&d, "id", t->id);
    api_doc_text(&d, "tenant", t->tenant);
    api_doc_text(&d, "label", t->label);
    api_doc_time(&d, "created", t->created_ms);
    api_doc_time(&d, "expires", t->expires_ms);
    api_doc_time(&d, "revoked", t->revoked_ms);
    api_doc_time(&d, "last_used", t->last_used_ms);
    return api_doc_end(&d);
}

struct json *api_doc_rule(const struct catalog_rule *r)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_int(&d, "id", r->rule.id);
    api_doc_text(&d, "tenant", r->tenant);
    api_doc_text(&d, "pool", r->pool);
    api_doc_text(&d, "kind", rule_kind_name(r->rule.kind));
    api_doc_text_or_null(&d, "key", r->rule.key);
    api_doc_text(&d, "value", r->rule.value);
    api_doc_time(&d, "created", r->created_ms);
    return api_doc_end(&d);
}

static struct json *doc_host(const struct catalog_pool *p,
                             const struct catalog_pool_host *h)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "address", h->address);
    api_doc_text_or_null(&d, "uuid", h->uuid);
    api_doc_text_or_null(&d, "name", h->name);
    api_doc_bool(&d, "entry", h->entry);
    api_doc_text_or_null(&d, "dial", h->dial);
    api_doc_pin(&d, "fingerprint", h->pinned, h->pin);
    api_doc_pin(&d, "seen_fingerprint", h->seen, h->seen_pin);
    api_doc_bool(&d, "trusted", p->ca_pem[0] || h->pinned);
    return api_doc_end(&d);
}

struct json *api_doc_pool(const struct catalog_pool *p)
{
    struct json *hosts = json_new_array();
    struct api_doc d;
    bool ok = true;

    for (size_t i = 0; i < p->host_count && ok; i++)
        ok = json_append(hosts, doc_host(p, &p->hosts[i]));
    api_doc_begin(&d);
    doc_keep(&d, ok);
    api_doc_text(&d, "name", p->name);
    api_doc_text(&d, "user", p->user);
    api_doc_bool(&d, "ca", p->ca_pem[0] != '\0');
    api_doc_bool(&d, "paused", p->paused);
    api_doc_text_or_null(&d, "uuid", p->pool_uuid);
    api_doc_time(&d, "created", p->created_ms);
    api_doc_take(&d, "hosts", hosts);
    return api_doc_end(&d);
}

struct json *api_doc_vault(const struct catalog_vault *v)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "name", v->name);
    api_doc_text(&d, "tenant", v->tenant);
    api_doc_text_or_null(&d, "id", v->vault_id);
    api_doc_text(&d, "url", v->url);
    api_doc_text_or_null(&d, "endpoint", v->endpoint);
    api_doc_text_or_null(&d, "region", v->region);
    api_doc_bool(&d, "ca", v->ca_pem[0] != '\0');
    api_doc_text(&d, "lock", v->lock);
    api_doc_text(&d, "state", catalog_vault_state_name(v->state));
    api_doc_text_or_null(&d, "public_key", v->public_key);
    api_doc_bool(&d, "existing", v->existing);
    api_doc_time(&d, "recovery_proved", v->recovery_proved_ms);
    api_doc_time(&d, "created", v->created_ms);
    return api_doc_end(&d);
}

static struct json *doc_vm(const char *uuid, const char *name)
{
    struct api_doc d;

    if (!uuid[0])
        return json_new_null();
    api_doc_begin(&d);
    api_doc_text(&d, "uuid", uuid);
    api_doc_text(&d, "name", name);
    return api_doc_end(&d);
}

struct json *api_doc_job(const struct catalog_job *j,
                         const struct authz_who *who)
{
    bool final = catalog_job_is_final(j->state);
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "id", j->id);
    api_doc_text(&d, "kind", j->kind);
    api_doc_text(&d, "tenant", j->tenant);
    if (who->kind == AUTHZ_PROVIDER)
        api_doc_text_or_null(&d, "pool", j->pool);
    api_doc_text_or_null(&d, "vault", j->vault);
    api_doc_take(&d, "vm", doc_vm(j->vm_uuid, j->vm_name));
    api_doc_text_or_null(&d, "point", j->point);
    api_doc_text(&d, "state", catalog_job_state_name(j->state));
    api_doc_bool(&d, "final", final);
    api_doc_text_or_null(&d, "stage", j->stage);
    api_doc_u64(&d, "done_bytes", j->done_bytes);
    api_doc_u64(&d, "total_bytes", j->total_bytes);
    api_doc_u64(&d, "change", j->change);
    api_doc_bool(&d, "cancel_asked", j->cancel_asked);
    api_doc_int(&d, "attempt", j->attempt);
    api_doc_text_or_null(&d, "retry_of", j->retry_of);
    api_doc_text_or_null(&d, "code", j->code ? err_name(j->code) : NULL);
    if (final)
        api_doc_int(&d, "exit", j->exit);
    else
        api_doc_text(&d, "exit", NULL);
    api_doc_text_or_null(&d, "error", j->error);
    api_doc_parsed(&d, "result", j->result);
    api_doc_time(&d, "created", j->created_ms);
    api_doc_time(&d, "started", j->started_ms);
    api_doc_time(&d, "ended", j->ended_ms);
    return api_doc_end(&d);
}

struct json *api_doc_point(const struct catalog_point *p,
                           const struct authz_who *who)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "id", p->id);
    api_doc_text(&d, "tenant", p->tenant);
    api_doc_text(&d, "vault", p->vault);
    api_doc_take(&d, "vm", doc_vm(p->vm_uuid, p->vm_name));
    api_doc_text(&d, "series", p->series);
    if (who->kind == AUTHZ_PROVIDER)
        api_doc_text_or_null(&d, "pool", p->pool);
    api_doc_time(&d, "time", p->time_ms);
    api_doc_time(&d, "started", p->started_ms);
    api_doc_time(&d, "ended", p->ended_ms);
    api_doc_text_or_null(&d, "mode", p->mode);
    api_doc_text_or_null(&d, "gateway", p->gateway);
    api_doc_u64(&d, "virtual_bytes", p->virtual_bytes);
    api_doc_u64(&d, "read_bytes", p->read_bytes);
    api_doc_u64(&d, "changed_bytes", p->changed_bytes);
    api_doc_u64(&d, "new_bytes", p->new_bytes);
    api_doc_u64(&d, "stored_bytes", p->stored_bytes);
    api_doc_parsed(&d, "disks", p->disks);
    api_doc_text(&d, "object", p->name);
    api_doc_pin(&d, "sha256", true, p->sha256);
    api_doc_bool(&d, "made_here", p->made_here);
    api_doc_time(&d, "verified", p->verified_ms);
    api_doc_text_or_null(&d, "verdict", p->verdict);
    return api_doc_end(&d);
}

struct json *api_doc_audit(const struct catalog_audit *a)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_int(&d, "id", a->id);
    api_doc_time(&d, "at", a->at_ms);
    api_doc_text(&d, "actor", a->actor);
    api_doc_text_or_null(&d, "tenant", a->tenant);
    api_doc_text(&d, "action", a->action);
    api_doc_text_or_null(&d, "object", a->object);
    api_doc_text(&d, "outcome", a->outcome);
    api_doc_text_or_null(&d, "detail", a->detail);
    return api_doc_end(&d);
}
