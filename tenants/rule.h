/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/rule.h - whose VM is it? Pure computing over rules at hand.
 *
 * uuid beats other_config beats tag beats name. An owned VM stays with its
 * owner whatever the rules say; an unowned one that two tenants claim at the
 * best rank belongs to neither. Any thread.
 */
#ifndef CAIRN_TENANTS_RULE_H
#define CAIRN_TENANTS_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* In order of rank, best first. */
enum rule_kind { RULE_UUID, RULE_OTHER_CONFIG, RULE_TAG, RULE_NAME };
#define RULE_KINDS 4

struct rule {
    int64_t id;
    int64_t tenant_id;
    int64_t pool_id;
    enum rule_kind kind;
    const char *key;   /* of other_config; "" for the other kinds */
    const char *value; /* uuid, other_config value, tag; or a name, where '*'
                          stands for any run of characters */
};

struct rule_pair {
    const char *key, *value;
};

/* What rules look at. */
struct rule_vm {
    int64_t pool_id;
    const char *uuid;
    const char *name;
    const char *const *tags;
    size_t tag_count;
    const struct rule_pair *other_config;
    size_t other_config_count;
};

#define RULE_CLAIMS_MAX 8

struct rule_verdict {
    int64_t tenant_id;  /* whose it is; 0: nobody's */
    int64_t rule_id;    /* that decided; 0: none, or the newest point did */
    bool by_point;      /* it is the owner of the newest point, or was moved */
    /* Contested: unowned and claimed twice at one rank (tenant_id is 0), or
     * owned while the rules alone would give it to others. */
    bool contested;
    int64_t claims[RULE_CLAIMS_MAX]; /* tenants at the best rank, each once */
    size_t claim_count;              /* more than RULE_CLAIMS_MAX: cut */
};

/* owner: of the VM's newest point or its last move; 0: none. */
void rule_decide(const struct rule *rules, size_t rule_count,
                 const struct rule_vm *vm, int64_t owner,
                 struct rule_verdict *out);

bool rule_matches(const struct rule *r, const struct rule_vm *vm);

/* '*' stands for any run of characters, all else for itself. In time
 * proportional to the product of the lengths at most. */
bool rule_name_matches(const char *pattern, const char *name);

/* Whether a rule's texts are acceptable: ERR_ARGUMENT says why not. The uuid
 * is 36 small characters, nothing is empty, at most 255 bytes of UTF-8. */
enum err_code rule_check(enum rule_kind kind, const char *key,
                         const char *value, struct err *err);

/* "uuid", "other_config", "tag", "name" */
const char *rule_kind_name(enum rule_kind kind);
bool rule_kind_from(const char *name, enum rule_kind *out);

#endif
