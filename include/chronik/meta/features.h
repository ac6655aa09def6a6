/* The features of a cluster: what its nodes can do, agreed on for all of them (KIP-584). */
#ifndef CHRONIK_META_FEATURES_H
#define CHRONIK_META_FEATURES_H

#include <chronik/base/text.h>

struct meta_feature {
    const char *name;
    int16_t min, max; /* levels that this code can do; a new cluster begins with the highest */
};

/* All of them. */
extern const struct meta_feature meta_features[];
extern const unsigned meta_feature_count;

/* NULL: there is no such feature. */
const struct meta_feature *meta_feature_find(struct text name);

#endif
