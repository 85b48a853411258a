/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/rule.h"

#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"

#define TEXT_MAX 255

static const char *const kind_names[RULE_KINDS] = {"uuid", "other_config",
                                                   "tag", "name"};

const char *rule_kind_name(enum rule_kind kind)
{
    return kind_names[kind];
}

bool rule_kind_from(const char *name, enum rule_kind *out)
{
    for (int i = 0; i < RULE_KINDS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            *out = (enum rule_kind)i;
            return true;
        }
    }
    return false;
}

bool rule_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL; /* the last one seen, and where it began */
    const char *from = NULL;

    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool rule_matches(const struct rule *r, const struct rule_vm *vm)
{
    if (r->pool_id != vm->pool_id)
        return false;
    switch (r->kind) {
    case RULE_UUID:
        return strcmp(r->value, vm->uuid) == 0;
    case RULE_OTHER_CONFIG:
        for (size_t i = 0; i < vm->other_config_count; i++)
            if (strcmp(vm->other_config[i].key, r->key) == 0)
                return strcmp(vm->other_config[i].value, r->value) == 0;
        return false;
    case RULE_TAG:
        for (size_t i = 0; i < vm->tag_count; i++)
            if (strcmp(vm->tags[i], r->value) == 0)
                return true;
        return false;
    case RULE_NAME:
        return rule_name_matches(r->value, vm->name);
    }
    return false;
}

static void verdict_claim(struct rule_verdict *v, int64_t tenant_id)
{
    for (size_t i = 0; i < v->claim_count && i < RULE_CLAIMS_MAX; i++)
        if (v->claims[i] == tenant_id)
            return;
    if (v->claim_count < RULE_CLAIMS_MAX)
        v->claims[v->claim_count] = tenant_id;
    v->claim_count++;
}

void rule_decide(const struct rule *rules, size_t rule_count,
                 const struct rule_vm *vm, int64_t owner,
                 struct rule_verdict *out)
{
    int best = RULE_KINDS;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < rule_count; i++) {
        const struct rule *r = &rules[i];

        if ((int)r->kind > best || !rule_matches(r, vm))
            continue;
        if ((int)r->kind < best) {
            best = (int)r->kind;
            memset(out, 0, sizeof(*out));
        }
        if (out->claim_count == 0)
            out->rule_id = r->id;
        verdict_claim(out, r->tenant_id);
    }
    if (owner) {
        out->tenant_id = owner;
        out->by_point = true;
        out->rule_id = 0;
        out->contested = out->claim_count > 1 ||
                         (out->claim_count == 1 && out->claims[0] != owner);
    } else if (out->claim_count == 1) {
        out->tenant_id = out->claims[0];
    } else if (out->claim_count > 1) {
        out->contested = true;
        out->rule_id = 0;
    }
}

static enum err_code check_text(const char *what, const char *text,
                                struct err *err)
{
    size_t len = strlen(text);

    if (len == 0)
        return err_set(err, ERR_ARGUMENT, 0, "rule: the %s is empty", what);
    if (len > TEXT_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "rule: the %s is over %d bytes",
                       what, TEXT_MAX);
    if (!parse_utf8(text, len))
        return err_set(err, ERR_ARGUMENT, 0, "rule: the %s is not UTF-8", what);
    return ERR_OK;
}

static enum err_code check_uuid(const char *text, struct err *err)
{
    struct id16 id;
    char small[37];

    if (parse_uuid(text, &id)) {
        parse_uuid_text(&id, small);
        if (strcmp(small, text) == 0)
            return ERR_OK;
    }
    return err_set(err, ERR_ARGUMENT, 0,
                   "rule: '%s' is not a uuid in small letters", text);
}

enum err_code rule_check(enum rule_kind kind, const char *key,
                         const char *value, struct err *err)
{
    enum err_code rc = ERR_OK;

    if (kind == RULE_OTHER_CONFIG)
        rc = check_text("key", key, err);
    else if (key[0])
        return err_set(err, ERR_ARGUMENT, 0,
                       "rule: a key goes with other_config only");
    if (rc != ERR_OK)
        return rc;
    if (kind == RULE_UUID)
        return check_uuid(value, err);
    return check_text("value", value, err);
}
