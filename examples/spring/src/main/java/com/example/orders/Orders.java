package com.example.orders;

import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtIssuerValidator;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/**
 * A resource server: every request to /orders needs an access token from
 * Bitjang. Only the issuer's URL is configured.
 *
 * <pre>mvn package
 * BITJANG_ISSUER=https://auth.example.com java -jar target/orders.jar</pre>
 */
@SpringBootApplication
@RestController
public class Orders {

  public static void main(String[] args) {
    SpringApplication.run(Orders.class, args);
  }

  @Bean
  SecurityFilterChain security(HttpSecurity http) throws Exception {
    return http
        .authorizeHttpRequests(r -> r.requestMatchers("/").permitAll().anyRequest().authenticated())
        .oauth2ResourceServer(r -> r.jwt(Customizer.withDefaults()))
        .build();
  }

  /**
   * Spring accepts only {@code typ: JWT} unless told otherwise; an access token
   * of RFC 9068 is an {@code at+jwt}. The algorithms come from the issuer's keys.
   */
  @Bean
  JwtDecoder decoder(
      @Value("${BITJANG_ISSUER:http://localhost:8080}") String issuer,
      @Value("${BITJANG_AUDIENCE:${BITJANG_ISSUER:http://localhost:8080}}") String audience) {
    NimbusJwtDecoder decoder =
        NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
    decoder.setJwtValidator(
        new DelegatingOAuth2TokenValidator<>(
            JwtValidators.createDefaultWithValidators(
                new JwtTypeValidator(List.of("at+jwt", "application/at+jwt")),
                new JwtIssuerValidator(issuer)),
            new JwtClaimValidator<List<String>>("aud", aud -> aud != null && aud.contains(audience))));
    return decoder;
  }

  @GetMapping("/")
  Map<String, Boolean> ready() {
    return Map.of("ok", true);
  }

  @GetMapping("/orders")
  Map<String, String> orders(@AuthenticationPrincipal Jwt jwt) {
    return Map.of("user", jwt.getSubject(), "session", jwt.getClaimAsString("sid"));
  }
}
