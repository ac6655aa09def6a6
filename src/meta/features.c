/* The table of features. */
#include <chronik/meta/features.h>

const struct meta_feature meta_features[] = {
    /* 4.4-IV2: tools read a cluster's release from it. From IV1 of 3.3 on, like Apache Kafka 4. */
    { "metadata.version", 7, 33 },
    { "kraft.version", 0, 1 },
};

const unsigned meta_feature_count = countof(meta_features);

const struct meta_feature *meta_feature_find(struct text name)
{
    for (unsigned i = 0; i < meta_feature_count; i++) {
        if (text_is(name, meta_features[i].name)) {
            return &meta_features[i];
        }
    }
    return NULL;
}
