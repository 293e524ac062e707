/* Any bytes as the answer to a request for credentials: what is taken from it can be kept and is the same when it is read back. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cloud/tb_provision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const char *a, const char *b)
{
	assert((a == NULL) == (b == NULL) && (!a || strcmp(a, b) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[128 * 1024];

	for (int type = PROVISION_TOKEN; type <= PROVISION_CERTIFICATE; type++) {
		struct credentials credentials, again;

		if (tb_provision_answer((enum provision_type)type, data, size, &credentials) != TB_PROVISION_SUCCESS)
			continue;
		assert(tb_provision_print(&credentials, text, sizeof(text)) > 0);
		assert(tb_provision_answer((enum provision_type)type, text, strlen(text), &again) == TB_PROVISION_SUCCESS);
		assert(credentials.kind == again.kind);
		same(credentials.token, again.token);
		same(credentials.client_id, again.client_id);
		same(credentials.user, again.user);
		same(credentials.password, again.password);
		tb_provision_done(&credentials);
		tb_provision_done(&again);
	}
	return 0;
}
