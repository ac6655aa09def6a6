/* docs/config.md is what the table says. With CHRONIK_WRITE_DOCS set, writes it instead. */
#include "../support/test.h"

#include <chronik/meta/config.h>

#define PAGE CHRONIK_DOCS "/config.md"

static void the_page_is_up_to_date(void **state)
{
    (void)state;
    struct buf want = { 0 }, have = { 0 };
    config_document(&want);
    if (getenv("CHRONIK_WRITE_DOCS") != NULL) {
        FILE *f = fopen(PAGE, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(want.data, 1, want.len, f), want.len);
        assert_int_equal(fclose(f), 0);
    }
    FILE *f = fopen(PAGE, "r");
    assert_non_null(f);
    have.len = fread(buf_reserve(&have, want.len + 1), 1, want.len + 1, f);
    fclose(f);
    if (!bytes_equal(buf_bytes(&want), buf_bytes(&have))) {
        fail_msg("docs/config.md does not match config.def: run `ninja -C build docs`");
    }
    buf_release(&want);
    buf_release(&have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_up_to_date),
    };
    return cmocka_run_group_tests_name("config_doc", tests, NULL, NULL);
}
